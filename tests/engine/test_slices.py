"""Shards worked on in this process: proposals and label maps."""

import tarfile

import numpy as np
import pytest
import tifffile

from primaps.config import from_record
from primaps.engine.orders import Task, scratch_of
from primaps.engine.slices import ShardWorker
from primaps.engine.works import ProposalsWork, work_settings
from primaps.errors import OutputError, ProcessError
from primaps.runs.run import Run, RunFolder
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan
from primaps.shards.reading import ShardedOutputs
from primaps.shards.records import read_record
from primaps.shards.references import list_references
from primaps.types import ThresholdChoice


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


def test_a_shard_becomes_a_tar_file_and_a_record(values, planned, tmp_path, watching):
    work, watch = ProposalsWork(**values), watching()
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


def test_images_done_alone_or_set_aside_change_nothing_else(values, planned, tmp_path, watching):
    work = ProposalsWork(**values)
    worker = ShardWorker(work, watching())
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


def test_a_shard_of_broken_images_is_done(values, tmp_path, watching):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bad.jpg").write_text("no image")
    make_plan(place_of(tmp_path / "out"), list_references([str(tmp_path / "images")]), 3)
    told = ShardWorker(ProposalsWork(**values), watching())(Task(0))
    assert (told["images"], told["failures"]) == (1, 1)
    assert names_in(tmp_path / "out" / "shards" / "000000.tar") == []


def test_a_folder_that_cannot_be_made_is_told(values, planned, tmp_path, watching):
    scratch = scratch_of(str(tmp_path / "scratch"), 0)
    scratch.mkdir(parents=True)
    (scratch / "together").write_text("in the way")
    with pytest.raises(OutputError, match="together to be a writable file"):
        ShardWorker(ProposalsWork(**values), watching())(Task(0))


def test_a_worker_with_other_settings_is_refused(values, planned, watching):
    work = ProposalsWork(**{**values, "settings": "of another version"})
    with pytest.raises(ProcessError, match="Install the same version of primaps for all workers"):
        ShardWorker(work, watching())(Task(0))


def test_label_maps_come_with_what_was_asked_for(labelled):
    kinds = ["certainty", "labels", "overlay", "tokens"]
    entries = ShardedOutputs(place_of(labelled)).record(1).entries
    assert [(entry.name, sorted(entry.members)) for entry in entries] == [
        ("1/001.png", kinds),
        ("2/002.png", kinds),
    ]
    if (labelled / "shards" / "000001.tar").exists():
        assert names_in(labelled / "shards" / "000001.tar") == [
            f"{name}.{kind}"
            for name in ("1/001.png", "2/002.png")
            for kind in ("certainty.png", "png", "overlay.jpg", "certainty.json")
        ]


def test_a_file_that_is_looked_into_is_in_work_meanwhile(values, draw, tmp_path, watching):
    """Of several pages: what ends the process there is found, set aside, and not opened again."""
    images = draw(tmp_path / "images", 2)
    with tifffile.TiffWriter(images / "two.tif") as file:
        for seed in range(2):
            file.write(np.full((48, 64, 3), 90 * seed, np.uint8), photometric="rgb")
    (images / "deadly.tif").write_bytes(b"II*\0 damaged")
    make_plan(place_of(tmp_path / "out"), list_references([str(images)]), 9)
    config = {**values["config"], "inputs": {**values["config"]["inputs"], "pages": "all"}}
    run = Run(RunFolder(tmp_path / "all"), values["backbone"].load(), from_record(config), ())
    run.chosen_threshold = ThresholdChoice(0.9, "given")
    work = ProposalsWork(**{**values, "config": config, "settings": work_settings(run)})
    watch = watching()
    told = ShardWorker(work, watch)(Task(0, quarantined={"deadly.tif": "It ends workers."}))
    assert watch.looked_names == ["0/000.png", "1/001.png", "two.tif"]
    assert told["failures"] == 1
    record = read_record(place_of(tmp_path / "out"), 0)
    assert [entry.name for entry in record.entries][-2:] == ["two.tif.p0001", "two.tif.p0002"]
    assert [failure.stage for failure in record.failures] == ["quarantine"]
