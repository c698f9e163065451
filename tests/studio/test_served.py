"""The folder that is served."""

import shutil

import pytest

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps import pipeline
from primaps.errors import CheckpointError, ConfigError
from primaps.outputs.label_files import read_png_info
from primaps.pipeline import accepting
from primaps.pipeline.classes import classes
from primaps.pipeline.named_fit import fit_with_names
from primaps.studio.answering import Refused
from primaps.studio.served import Served


@pytest.fixture
def told():
    return []


@pytest.fixture
def served(folder, told):
    return Served(folder, lambda kind, what: told.append((kind, what)))


def test_names_are_those_of_the_run(served):
    assert served.name("sub/1.png") == "sub/1.png"
    assert served.photo("sub/1.png").name == "1.png"
    with pytest.raises(Refused, match=r"but got '\.\./0\.png'"):
        served.name("../0.png")
    assert served.photo("../0.png") is None


def test_folders_without_label_maps_are_refused(tmp_path, folder):
    with pytest.raises(CheckpointError):
        Served(tmp_path / "nothing", print)
    shutil.copytree(folder / "model", tmp_path / "model")
    with pytest.raises(CheckpointError, match="is that of a model"):
        Served(tmp_path / "model", print)
    with pytest.raises(CheckpointError, match=f"primaps studio {folder}"):
        Served(folder / "model", print)


def test_an_exchange_that_was_killed_is_finished_first(folder, monkeypatch):
    classes(folder, name={0: "hill", 1: "sky"})
    candidate = fit_with_names(pipeline.reopen(folder, {}))
    monkeypatch.setattr(accepting, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        accepting.accept(pipeline.reopen(folder, {}), candidate.number)
    monkeypatch.undo()
    assert (folder / "candidates" / "swap.json").exists()
    served = Served(folder, lambda *_: None)
    assert served.model == candidate.fingerprint
    assert served.state()["accepted"] == candidate.number


def test_a_job_that_stops_on_the_way_leaves_the_models_in_place(served, folder, monkeypatch):
    classes(folder, name={0: "hill", 1: "sky"})
    candidate = fit_with_names(pipeline.reopen(folder, {}))

    def stopped():
        with served.exchanging("accept"), monkeypatch.context() as patch:
            patch.setattr(accepting, "_finish", lambda *_: 1 / 0)
            accepting.accept(served.run(), candidate.number)

    with pytest.raises(ZeroDivisionError):
        stopped()
    assert served.model == candidate.fingerprint
    assert not (folder / "candidates" / "swap.json").exists()


def test_another_model_is_told_and_everything_is_looked_at_anew(served, told, folder):
    run, knowing = served.run(), served.knowing()
    assert (served.run(), served.knowing()) == (run, knowing)
    classes(folder, name={0: "hill", 1: "sky"})
    candidate = fit_with_names(pipeline.reopen(folder, {}))
    accepting.accept(pipeline.reopen(folder, {}), candidate.number)
    served.refresh()
    assert ("run", {"model": candidate.fingerprint}) in told
    assert told[-1][0] == "state"
    assert served.run() is not run
    assert served.knowing() is not knowing
    count = len(told)
    served.refresh()
    assert len(told) == count


def test_label_maps_that_follow_their_model_are_noticed(served, told, folder, monkeypatch):
    classes(folder, name={0: "hill", 1: "sky"})
    candidate = fit_with_names(pipeline.reopen(folder, {}))
    predict = accepting.predict_stored

    def looked_at(*given):
        served.refresh()  # the model is in place, and no label map is made anew yet
        predict(*given)

    monkeypatch.setattr(accepting, "predict_stored", looked_at)
    shutil.rmtree(folder / "candidates" / "1" / "labels")
    accepting.accept(pipeline.reopen(folder, {}), candidate.number)
    assert served.viewed.record()["images"]["name"] == []
    served.refresh()
    assert len(served.viewed.record()["images"]["name"]) == 4
    assert read_png_info(folder / "labels" / "0.png.png")["model"] == candidate.fingerprint
    assert [kind for kind, _ in told].count("run") == 2
    viewed = served.viewed
    fit_with_names(pipeline.reopen(folder, {}))  # writes the record of the run, and no label map
    served.refresh()
    assert served.viewed is viewed


def test_candidates_are_kept_until_they_are_others(served, folder):
    with pytest.raises(ConfigError, match="number of a candidate"):
        served.candidate(1)
    classes(folder, name={0: "hill", 1: "sky"})
    fit_with_names(pipeline.reopen(folder, {}))
    first = served.candidate(1)
    assert served.candidate(1) is first
    classes(folder, name={2: "disc"})
    shutil.rmtree(folder / "candidates" / "1")
    fit_with_names(pipeline.reopen(folder, {}))
    assert served.candidate(1) is not first


def test_stamps_are_others_when_files_are(served, tmp_path):
    path = tmp_path / "a"
    before = [served.stamp([path], "x"), served.stamp([path], "y"), served.stamp([None], "x")]
    path.write_text("1")
    assert len({*before, served.stamp([path], "x")}) == 4 - (before[0] == before[2])
