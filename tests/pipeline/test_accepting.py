import json
from pathlib import Path

import pytest

import primaps as pm
from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.accepting import accept, finish_pending
from primaps.pipeline.named_fit import fit_with_names
from primaps.pipeline.named_labels import NamedLabels, correct, read_corrections
from primaps.runs.model import Model


def opened(folder):
    return pipeline.reopen(folder, {})


@pytest.fixture
def candidate_run(named_run):
    """A run with a candidate: clusters 0 and 1 are named, one proposal is another class."""
    pm.classes(named_run, name={0: "sky", 1: "meadow"}, colour={"sky": "#0000fe"})
    correct(named_run, [("0.png", 1, 3)])
    fit_with_names(opened(named_run))
    return named_run


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for part in ("labels", "model")
        for path in (folder / part).rglob("*")
        if path.is_file() and path.name != "curves.json"
    }


def said(folder):
    """Names of the classes that corrections mean."""
    labels = NamedLabels(folder)
    titles = {each.id: each.title for each in labels.table.classes}
    return {
        (image, proposal): titles[class_id]
        for image in labels.corrected_images
        for proposal, class_id in labels.binding(image).classes.items()
    }


def test_a_candidate_takes_the_place_of_the_model(candidate_run):
    candidate = Model.load(candidate_run / "candidates" / "1")
    labels = files(candidate_run / "candidates" / "1")
    assert accept(opened(candidate_run), 1) == 1
    assert Model.load(candidate_run).fingerprint == candidate.fingerprint
    found = files(candidate_run)
    assert all(found[path] == content for path, content in labels.items())
    table = pm.classes(candidate_run)
    assert [(each.title, each.clusters) for each in table.classes if each.clusters] == [
        ("sky", (0,)),
        ("meadow", (1,)),
        ("class 2", (2,)),
    ]
    assert table.classes[0].colour == (0, 0, 254)
    assert said(candidate_run) == {("0.png", 1): "class 2"}
    record = json.loads((candidate_run / "run.json").read_text("utf-8"))
    assert record["accepted"] == [1]
    assert record["named"]["clicks"] == 1
    assert record["named"]["classes"][:2] == ["sky", "meadow"]
    assert record["status"] == "finished"


def test_certainty_maps_are_made_for_the_other_model_too(named_run):
    (named_run / "certainty").mkdir()  # they were asked for
    pm.classes(named_run, name={0: "sky", 1: "meadow"})
    fit_with_names(opened(named_run))
    accept(opened(named_run), 1)
    assert len(list((named_run / "certainty").rglob("*.png"))) == 4


def test_taken_back_everything_is_as_before(candidate_run):
    before, names = files(candidate_run), (candidate_run / "classes.yaml").read_bytes()
    new = files(candidate_run / "candidates" / "1")
    meant = said(candidate_run)
    accept(opened(candidate_run), 1)
    assert accept(opened(candidate_run), None) == 1
    assert files(candidate_run) == before
    assert (candidate_run / "classes.yaml").read_bytes() == names
    assert said(candidate_run) == meant
    assert files(candidate_run / "candidates" / "1").keys() >= new.keys()
    record = json.loads((candidate_run / "run.json").read_text("utf-8"))
    assert (record["accepted"], record["named"]) == ([], None)
    accept(opened(candidate_run), 1)  # and again
    assert files(candidate_run).keys() >= new.keys()


def test_classes_made_meanwhile_keep_their_corrections(candidate_run):
    pm.classes(candidate_run, dataset="camvid")
    car = next(each.id for each in pm.classes(candidate_run).classes if each.name == "car")
    correct(candidate_run, [("2.png", 1, car)])
    accept(opened(candidate_run), 1)
    assert said(candidate_run)[("2.png", 1)] == "car"
    accept(opened(candidate_run), None)
    assert said(candidate_run)[("2.png", 1)] == "car"


def test_one_after_the_other_and_back_in_turn(candidate_run):
    first = Model.load(candidate_run).fingerprint
    accept(opened(candidate_run), 1)
    correct(candidate_run, [("2.png", 1, 0)])
    fit_with_names(opened(candidate_run))
    second = Model.load(candidate_run).fingerprint
    accept(opened(candidate_run), 2)
    with pytest.raises(ConfigError, match="not accepted yet, but 1 is"):
        accept(opened(candidate_run), 1)
    accept(opened(candidate_run), None)
    assert Model.load(candidate_run).fingerprint == second
    accept(opened(candidate_run), None)
    assert Model.load(candidate_run).fingerprint == first


@pytest.mark.parametrize(
    ("number", "message"),
    [(None, "accepted candidate to take back"), (7, "number of a candidate")],
)
def test_what_cannot_be_accepted_leaves_no_trace(candidate_run, number, message):
    before = (candidate_run / "run.json").read_bytes()
    with pytest.raises(ConfigError, match=message):
        accept(opened(candidate_run), number)
    assert (candidate_run / "run.json").read_bytes() == before


def test_segmenting_again_keeps_the_accepted_model(candidate_run):
    accept(opened(candidate_run), 1)
    named = Model.load(candidate_run).fingerprint
    run = opened(candidate_run)
    pipeline.fit_again(run, None)
    assert Model.load(candidate_run).fingerprint == named


@pytest.mark.parametrize("moves", [0, 1, 3, 5, 7])
def test_a_killed_exchange_is_finished_by_the_next_command(candidate_run, monkeypatch, moves):
    wanted = Model.load(candidate_run / "candidates" / "1").fingerprint
    rename, done = Path.rename, []

    def killed(self, target):
        if len(done) == moves:
            raise KeyboardInterrupt
        done.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            accept(opened(candidate_run), 1)
    lines = len(read_corrections(candidate_run).entries)
    finish_pending(candidate_run)
    finish_pending(candidate_run)
    assert Model.load(candidate_run).fingerprint == wanted
    assert said(candidate_run) == {("0.png", 1): "class 2"}
    assert len(read_corrections(candidate_run).entries) == lines + 1
    record = json.loads((candidate_run / "run.json").read_text("utf-8"))
    assert record["accepted"] == [1]
    assert not (candidate_run / "candidates" / "swap.json").exists()
