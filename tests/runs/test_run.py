import dataclasses
import datetime as dt
import json
import os
import re

import numpy as np
import pytest
import torch

from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.runs.run import Run, RunFolder, cached_views, read_failures, read_warnings, versions
from primaps.runs.store import ShardInfo, write_json
from primaps.types import Failure, ImageFile, MaskProposals, View

SETTINGS = {
    "backbone": {"name": "texture", "size": (3, 4)},
    "fit": {"seed": 0, "crf": {"iterations": 10}},
}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


# ---- the folder ----------------------------------------------------------------------------------


def test_paths_of_outputs(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.proposals("a/b.jpg") == tmp_path / "proposals" / "a" / "b.jpg.png"
    assert folder.labels("a/b.jpg") == tmp_path / "labels" / "a" / "b.jpg.png"
    assert folder.model == tmp_path / "model"
    assert folder.report == tmp_path / "report.html"


def test_opening_a_folder_writes_nothing(folder):
    assert folder.record == {}
    assert not folder.root.exists()


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Expected the folder of a run, but .*file is a file"):
        RunFolder(tmp_path / "file")


@pytest.mark.parametrize("text", ['{"name": "my-package"}', '{"format": 99}', "not json", "[1]"])
def test_a_foreign_run_json_is_never_overwritten(text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"run\.json"):
        RunFolder(tmp_path)
    assert (tmp_path / "run.json").read_text() == text


def test_left_overs_of_killed_writers_are_removed_from_runs_only(tmp_path):
    left_over = tmp_path / "labels" / ".0123.primaps-tmp"
    left_over.parent.mkdir()
    left_over.write_text("half")
    RunFolder(tmp_path)
    assert left_over.exists()  # not known to be a run
    write_json(tmp_path / "run.json", {"format": 1, "settings": SETTINGS})
    RunFolder(tmp_path)
    assert left_over.exists()  # another command may be writing it
    RunFolder(tmp_path).claim({"fit": SETTINGS["fit"]}, overwrite=False)
    assert not left_over.exists()


# ---- claim ---------------------------------------------------------------------------------------


def test_claim_records_settings_versions_and_status(folder):
    folder.claim(SETTINGS, overwrite=False)
    record = json.loads(folder.run_json.read_text())
    assert record["settings"] == json.loads(json.dumps(SETTINGS))
    assert record["versions"] == versions()
    assert record["status"] == "running"


def test_the_same_settings_may_claim_again(folder):
    folder.claim(SETTINGS, overwrite=False)
    RunFolder(folder.root).claim(SETTINGS, overwrite=False)
    assert json.loads(folder.run_json.read_text())["settings"]["backbone"]["size"] == [3, 4]


def test_every_difference_is_named_and_nothing_written(folder):
    folder.claim(SETTINGS, overwrite=False)
    before = folder.run_json.read_bytes()
    other = {
        "backbone": {"name": "mini", "size": (3, 4)},
        "fit": {"seed": 1, "crf": {"iterations": 5}},
    }
    with pytest.raises(ConfigError) as caught:
        RunFolder(folder.root).claim(other, overwrite=False)
    message = str(caught.value)
    for line in (
        "backbone.name: 'texture' -> 'mini'",
        "fit.seed: 0 -> 1",
        "fit.crf.iterations: 10 -> 5",
        "--overwrite",
    ):
        assert line in message
    assert "size" not in message
    assert folder.run_json.read_bytes() == before


def test_overwrite_takes_the_new_settings_and_keeps_the_other_stages(folder):
    folder.claim(SETTINGS, overwrite=False)
    again = RunFolder(folder.root)
    again.claim({"fit": {"seed": 2}}, overwrite=True)
    stored = json.loads(folder.run_json.read_text())["settings"]
    assert stored["fit"] == {"seed": 2}
    assert stored["backbone"]["name"] == "texture"


def test_stages_that_one_side_does_not_know_are_not_compared(folder):
    folder.claim({"backbone": SETTINGS["backbone"]}, overwrite=False)
    RunFolder(folder.root).claim({"fit": SETTINGS["fit"]}, overwrite=False)
    assert set(json.loads(folder.run_json.read_text())["settings"]) == {"backbone", "fit"}


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="something else"):
        RunFolder(tmp_path / "file" / "run").claim(SETTINGS, overwrite=False)


# ---- finish --------------------------------------------------------------------------------------


def test_finish_writes_the_record(folder):
    folder.claim(SETTINGS, overwrite=False)
    folder.finish("segment", ["photos"], {"fit": 1.23456}, {"images": 3}, [])
    record = json.loads(folder.run_json.read_text())
    assert (record["status"], record["command"], record["inputs"]) == (
        "finished",
        "segment",
        ["photos"],
    )
    assert record["seconds"] == {"fit": 1.235}
    assert record["counts"] == {"images": 3, "failures": 0}
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(record["finished"])
    assert dt.timedelta(0) <= age < dt.timedelta(minutes=1)
    assert not folder.failures_file.exists()


def test_a_later_command_adds_to_the_record(folder):
    folder.claim(SETTINGS, overwrite=False)
    folder.finish("proposals", ["photos"], {"proposals": 5.0, "fit": 1.0}, {"images": 3}, [])
    again = RunFolder(folder.root)
    again.finish("fit", ["photos"], {"fit": 2.0}, {"clusters": 4}, [])
    assert again.record["seconds"] == {"proposals": 5.0, "fit": 2.0}
    assert again.record["counts"] == {"images": 3, "clusters": 4, "failures": 0}


def test_failures_come_back_as_they_were(folder):
    failures = [
        Failure(os.fsdecode(b"caf\xe9.jpg"), "read", "Expected a\nline"),
        Failure("zoë.png", "predict", "memory"),
    ]
    folder.claim(SETTINGS, overwrite=False)
    folder.finish("segment", [os.fsdecode(b"caf\xe9")], {}, {}, failures)
    assert read_failures(folder) == failures
    assert len(folder.failures_file.read_text("ascii").splitlines()) == 2
    assert folder.record["status"] == "finished with failures"
    assert folder.record["counts"]["failures"] == 2
    assert json.loads(folder.run_json.read_text("utf-8"))["inputs"] == ["caf\\udce9"]


def test_old_failures_vanish_when_all_is_well(folder):
    folder.finish("segment", [], {}, {}, [Failure("a", "read", "b")])
    folder.finish("segment", [], {}, {}, [])
    assert not folder.failures_file.exists()
    assert read_failures(folder) == []


# ---- the run at work -----------------------------------------------------------------------------


class Listening:
    def __init__(self):
        self.heard = []

    def start(self, stage, total, done=0):
        self.heard.append((stage, total))

    def advance(self, steps=1):
        self.heard.append(steps)

    def finish(self):
        self.heard.append("finish")

    def note(self, message):
        self.heard.append(message)


@pytest.fixture
def run(folder, texture, small_config, tmp_path):
    images = tuple(ImageFile(tmp_path / name, name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    return Run(folder, texture, small_config, images, progress=Listening())


def store_image(run, name):
    store = run.store
    info = ShardInfo(store.settings, "sha", 1, 1, 8, 8, 1, 1.0, (1.0,), ())
    proposals = MaskProposals(np.ones((8, 8), dtype=np.int32), np.ones(1, dtype=np.float32))
    store.write(name, torch.zeros(len(store.views), 2, 1, 1), proposals, info)


def changed(run, **changes):
    return dataclasses.replace(run, config=dataclasses.replace(run.config, **changes))


def test_the_threshold_is_the_users_or_the_backbones(run, texture):
    assert run.threshold == texture.threshold
    given = changed(run, proposals=dataclasses.replace(run.config.proposals, threshold=0.7))
    assert given.threshold == 0.7
    assert given.settings()["proposals"]["threshold"] == 0.7
    assert run.settings()["proposals"]["threshold"] == texture.threshold


def test_settings_are_json_by_stage(run):
    settings = run.settings()
    assert list(settings) == ["backbone", "features", "proposals", "fit", "predict"]
    assert json.loads(json.dumps(settings, allow_nan=False))["fit"]["num_clusters"] == 3


def test_the_store_depends_on_what_determines_its_content_only(run):
    config = run.config
    for same in (
        {"num_clusters": 9},
        {"seed": 5},
        {"predict": dataclasses.replace(config.predict, crf=False)},
    ):
        assert changed(run, **same).store.settings == run.store.settings, same
    for other in (
        {"features": dataclasses.replace(config.features, size=72)},
        {"proposals": dataclasses.replace(config.proposals, min_area=5)},
        {"predict": dataclasses.replace(config.predict, max_pixels=5000)},
    ):
        assert changed(run, **other).store.settings != run.store.settings, other


def test_usable_images_are_stored_and_did_not_fail(run, tmp_path):
    assert run.usable_images() == []
    store_image(run, "a.jpg")
    store_image(run, "c.jpg")
    assert [image.name for image in run.usable_images()] == ["a.jpg", "c.jpg"]
    run.failures.append(Failure(str(tmp_path / "a.jpg"), "read", "damaged since"))
    assert [image.name for image in run.usable_images()] == ["c.jpg"]
    other = changed(run, features=dataclasses.replace(run.config.features, size=72))
    assert other.usable_images() == []  # stored under other settings


def test_a_stage_is_timed_and_drawn_even_if_it_fails(run):
    with pytest.raises(ZeroDivisionError), run.stage("fit", 2):
        raise ZeroDivisionError
    assert run.progress.heard == [("fit", 2), "finish"]
    first = run.seconds["fit"]
    assert first > 0
    with run.stage("fit", 2):
        pass
    assert run.seconds["fit"] > first


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("draws", [0, 2])
def test_every_photometric_draw_in_every_geometry(flip, draws, small_config):
    features = dataclasses.replace(small_config.features, flip=flip, photometric_views=draws)
    views = cached_views(dataclasses.replace(small_config, features=features))
    assert views[0] == View()
    assert len(set(views)) == len(views) == (1 + draws) * (1 + flip)
    assert {view.photometric for view in views} == {None, *range(draws)}
    assert {view.flip for view in views} == {False, flip}


def test_versions_name_what_a_result_depends_on():
    found = versions()
    assert torch.__version__.startswith(found["torch"])
    assert found["numpy"] == np.__version__
    assert {"primaps", "python", "platform", "timm", "pillow"} <= found.keys()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("settings", 3), ("settings", {"fit": []}), ("settings", {"backbone": {}})),
        *(("settings", {"model": {"fingerprint": None}}), ("config", []), ("weights", {})),
        *(("config", {"fit": 3}), ("config", {"seed": "a"}), ("config", {"seed": True})),
        *(("config", {"features": {"size": 10**40}}), ("config", {"new": 1})),
        *(("inputs", "a"), ("inputs", [None]), ("seconds", {"fit": "a"}), ("counts", 1)),
        *(("threshold", {"value": "a", "source": "b"}), ("threshold", {}), ("accepted", [None])),
        *(("number_of_classes", {"value": 3, "curve": [[3]]}), ("defaults", "a")),
    ],
)
def test_a_record_with_strange_values_is_refused_by_name(tmp_path, key, value):
    write_json(tmp_path / "run.json", {"format": 1, key: value})
    with pytest.raises(CheckpointError, match=rf"{re.escape(str(tmp_path))}.*delete it to resume"):
        RunFolder(tmp_path)


@pytest.mark.parametrize(
    "line", ["{}", '{"path": 3, "stage": "a", "reason": "b"}', "3", "[" * 100_000, "{"]
)
def test_damaged_failures_are_refused_by_name(folder, line):
    folder.root.mkdir()
    folder.failures_file.write_text(line + "\n")
    with pytest.raises(CheckpointError, match=r"failures\.jsonl.*Delete it"):
        read_failures(folder)


@pytest.mark.parametrize(
    "line",
    [
        *("{}", '{"image": "a", "kinds": ["x"], "notes": []}', "[" * 100_000, "null"),
        '{"image": "a", "kinds": 3, "notes": "b"}',
    ],
)
def test_damaged_warnings_are_refused_by_name(folder, line):
    folder.root.mkdir()
    folder.warnings_file.write_text(line + "\n")
    with pytest.raises(CheckpointError, match=r"warnings\.jsonl.*Delete it"):
        read_warnings(folder)
