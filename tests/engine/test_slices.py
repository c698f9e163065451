"""Shards worked on in this process: proposals, label maps, and data sets of these."""

import dataclasses
import json
import tarfile
from pathlib import Path

import pytest

from primaps.config import preset_config, to_dict
from primaps.engine.exporting import ExportWork, ExportWorker, export_shards
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Task
from primaps.engine.ray_engine import Fetching
from primaps.engine.slices import ShardWorker
from primaps.engine.works import (
    BackboneRecord,
    PredictWork,
    ProposalsWork,
    model_files,
    work_settings,
)
from primaps.errors import CheckpointError, ProcessError
from primaps.pipeline.exporting import ExportSettings
from primaps.progress import Silent
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import write_json
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan
from primaps.shards.records import read_record
from primaps.shards.references import list_references
from primaps.types import ThresholdChoice


class Watching:
    def __init__(self):
        self.begun_names, self.ended_names = [], []

    def begun(self, image):
        self.begun_names.append(image.name)

    def ended(self, image):
        self.ended_names.append(image.name)


@pytest.fixture
def values(texture, tmp_path):
    """What works have in common, with outputs in ``tmp_path / "out"`` as tar files."""
    config = preset_config("fast")
    run = Run(RunFolder(tmp_path / "any"), texture, config, ())
    run.chosen_threshold = ThresholdChoice(0.9, "given")
    return {
        "place": str(tmp_path / "out"),
        "out": None,
        "scratch": str(tmp_path / "scratch"),
        "config": json.loads(json.dumps(to_dict(config))),
        "threshold": 0.9,
        "backbone": BackboneRecord.of(texture, "cpu"),
        "settings": work_settings(run),
    }


@pytest.fixture
def planned(draw, tmp_path):
    """Five images, one of them broken, in shards of three."""
    images = draw(tmp_path / "images", 4)
    (images / "0" / "bad.jpg").write_text("no image")
    make_plan(place_of(tmp_path / "out"), list_references([str(images)]), 3)
    return images


def names_in(tar):
    with tarfile.open(tar) as held:
        return held.getnames()


def test_a_shard_becomes_a_tar_file_and_a_record(values, planned, tmp_path):
    work, watch = ProposalsWork(**values), Watching()
    told = ShardWorker(work.order().opened(), watch)(Task(0))
    assert (told["images"], told["failures"]) == (3, 1)
    assert watch.begun_names == watch.ended_names == ["0/000.png", "0/003.png", "0/bad.jpg"]
    assert names_in(tmp_path / "out" / "shards" / "000000.tar") == [
        f"0/{name}.png.{kind}"
        for name in ("000", "003")
        for kind in ("proposals.png", "safetensors")
    ]
    record = read_record(place_of(tmp_path / "out"), 0)
    assert [failure.path for failure in record.failures] == [str(planned / "0" / "bad.jpg")]
    assert record.counts["images"] == 2
    assert list((tmp_path / "scratch").iterdir()) == []
    # done: nothing is begun any more
    assert ShardWorker(work, watch)(Task(0)) == told
    assert len(watch.begun_names) == 3


def test_images_done_alone_or_set_aside_change_nothing_else(values, planned, tmp_path):
    work = ProposalsWork(**values)
    worker = ShardWorker(work, Watching())
    worker(Task(1))
    usual = (tmp_path / "out" / "shards" / "000001.tar").read_bytes()
    (tmp_path / "out" / "shards" / "000001.json").unlink()
    worker(Task(1, alone=("1/001.png",)))
    assert (tmp_path / "out" / "shards" / "000001.tar").read_bytes() == usual
    (tmp_path / "out" / "shards" / "000001.json").unlink()
    told = worker(Task(1, quarantined={"1/001.png": "It ends workers."}))
    assert told["failures"] == 1
    record = read_record(place_of(tmp_path / "out"), 1)
    assert [(each.path, each.stage, each.reason) for each in record.failures] == [
        (str(planned / "1" / "001.png"), "quarantine", "It ends workers.")
    ]
    assert [entry.name for entry in record.entries] == ["2/002.png"]


def test_a_shard_of_broken_images_is_done(values, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bad.jpg").write_text("no image")
    make_plan(place_of(tmp_path / "out"), list_references([str(tmp_path / "images")]), 3)
    told = ShardWorker(ProposalsWork(**values), Watching())(Task(0))
    assert (told["images"], told["failures"]) == (1, 1)
    assert names_in(tmp_path / "out" / "shards" / "000000.tar") == []


def test_a_worker_with_other_settings_is_refused(values, planned):
    work = ProposalsWork(**{**values, "settings": "of another version"})
    with pytest.raises(ProcessError, match="Install the same version of primaps for all workers"):
        ShardWorker(work, Watching())(Task(0))


@pytest.fixture
def labelled(values, planned, finished_run, tmp_path):
    """Label maps in shards, with the records of the command."""
    run_record = json.loads((finished_run / "run.json").read_text())
    values["config"] = run_record["config"]
    work = PredictWork(**values, model=model_files(finished_run), certainty=True, overlays=True)
    run = Run(RunFolder(tmp_path / "any"), work.backbone.load(), work.settings_of_run, ())
    run.chosen_threshold = ThresholdChoice(0.9, "given")
    work = dataclasses.replace(work, settings=work_settings(run))
    for shard in range(2):
        ShardWorker(work.order().opened(), Watching())(Task(shard))
    out = tmp_path / "out"
    (out / "classes.yaml").write_bytes((finished_run / "classes.yaml").read_bytes())
    settings = {**run_record["settings"], "model": {"fingerprint": work.loaded.fingerprint}}
    write_json(out / "run.json", {**run_record, "command": "predict", "settings": settings})
    return out


def test_label_maps_come_with_what_was_asked_for(labelled):
    assert names_in(labelled / "shards" / "000001.tar") == [
        f"{name}.{kind}"
        for name in ("1/001.png", "2/002.png")
        for kind in ("certainty.png", "png", "overlay.jpg", "certainty.json")
    ]


def test_every_shard_of_label_maps_becomes_a_data_set(labelled, tmp_path):
    work = ExportWork(
        str(labelled),
        str(tmp_path / "data"),
        str(tmp_path / "scratch"),
        {**vars(ExportSettings("coco")), "split": []},
    )
    told = [ExportWorker(work.order().opened())(Task(shard)) for shard in range(2)]
    assert [each["counts"]["exported"] for each in told] == [2, 2]
    for shard, names in ((0, ["0/000.png", "0/003.png"]), (1, ["1/001.png", "2/002.png"])):
        part = Path(work.out) / f"part-{shard:06d}"
        found = {str(path.relative_to(part)) for path in part.rglob("*.png")}
        assert {name for name in found if any(each in name for each in names)}
    # on Ray, the images are looked for beside the label maps
    fetched = Fetching(work.order().plan)({"shard": 0})
    assert fetched == {"shard": 0, "names": [], "contents": [], "times": []}
    # done: nothing is left for workers, and the command tells
    count, failures = export_shards(
        str(labelled), tmp_path / "data", ExportSettings("coco"), EngineOptions(), Silent()
    )
    assert (count, failures) == (4, ())


def test_proposals_in_shards_are_no_label_maps(planned, tmp_path):
    write_json(tmp_path / "out" / "run.json", {"command": "proposals"})
    with pytest.raises(CheckpointError, match="Expected label maps"):
        export_shards(
            str(tmp_path / "out"),
            tmp_path / "data",
            ExportSettings("coco"),
            EngineOptions(),
            Silent(),
        )
