"""Data sets of label maps in shards, and data sets in an object store."""

import json
from pathlib import Path

import pytest

from primaps.engine.exporting import (
    ExportWork,
    ExportWorker,
    export_shards,
    export_to_store,
    export_work,
    exported_shards,
    planned_export_to_store,
)
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Task
from primaps.engine.publishing import published
from primaps.engine.ray_engine import Fetching
from primaps.errors import CheckpointError, ConfigError
from primaps.pipeline.exporting import ExportSettings, export
from primaps.progress import Silent
from primaps.runs.store import write_json
from primaps.shards.places import place_of
from primaps.shards.plan import make_plan
from primaps.shards.references import list_references

COCO = ExportSettings("coco")


def content_of(root):
    """Contents by relative path of what an export wrote for its users."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".primaps-export" not in path.parts
    }


def test_every_shard_of_label_maps_becomes_a_data_set(labelled, tmp_path):
    work = ExportWork(
        str(labelled),
        str(tmp_path / "data"),
        str(tmp_path / "scratch"),
        {**vars(COCO), "split": []},
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
    (tmp_path / "data" / "failures.jsonl").write_text("of an earlier one")
    count, failures = export_shards(
        str(labelled), str(tmp_path / "data"), COCO, EngineOptions(), Silent()
    )
    assert (count, failures) == (4, ())
    assert not (tmp_path / "data" / "failures.jsonl").exists()


@pytest.mark.parametrize("labelled", ["parquet"], indirect=True)
def test_parts_in_an_object_store_are_those_on_disk(labelled, s3, tmp_path):
    out = f"{s3}/data"
    (work, outputs), (local, _) = (
        export_work(str(labelled), each, COCO) for each in (out, str(tmp_path / "data"))
    )
    for each in (work, local):
        ExportWorker(each.order().opened())(Task(0))
    assert place_of(out).exists(".parts/000000.json")
    part = place_of(f"{out}/part-000000")
    assert published(part).complete
    for path, content in content_of(tmp_path / "data" / "part-000000").items():
        assert part.read(path) == content, path
    assert [told is None for told in exported_shards(work, outputs).values()] == [False, True]
    # a torn record of a part: it is made again
    place_of(out).write(".parts/000000.json", b"{")
    assert work.done(0) is None
    assert ExportWorker(work)(Task(0))["images"] == 2
    ExportWorker(work)(Task(1))
    count, failures = export_shards(str(labelled), out, COCO, EngineOptions(), Silent())
    assert (count, failures) == (4, ())
    assert not list(Path(work.scratch).glob("*"))


def test_a_folder_becomes_a_data_set_in_an_object_store(finished_run, s3, tmp_path):
    out = f"{s3}/whole"
    assert "Sent:" in "\n".join(planned_export_to_store(finished_run, out, COCO))
    exported = export_to_store(finished_run, out, COCO, Silent())
    export(finished_run, tmp_path / "local", COCO)
    place, expected = place_of(out), content_of(tmp_path / "local")
    assert len(exported.images) == 4
    assert set(expected) <= set(published(place).files)
    assert all(place.read(path) == content for path, content in expected.items())
    with pytest.raises(ConfigError, match="holds an export in the format coco"):
        export_to_store(finished_run, out, ExportSettings("voc"), Silent())
    with pytest.raises(ConfigError, match="an object store has no links"):
        export_to_store(finished_run, out, ExportSettings("coco", link=True), Silent())


def test_proposals_in_shards_are_no_label_maps(draw, tmp_path):
    images = draw(tmp_path / "images", 1)
    make_plan(place_of(tmp_path / "out"), list_references([str(images)]), 3)
    (tmp_path / "out" / "run.json").write_text(json.dumps({"command": "proposals"}))
    with pytest.raises(CheckpointError, match="Expected label maps"):
        export_shards(
            str(tmp_path / "out"), str(tmp_path / "data"), COCO, EngineOptions(), Silent()
        )
    write_json(tmp_path / "out" / "run.json", {"command": "predict"})
    with pytest.raises(CheckpointError, match="Expected label maps"):
        export_work(str(tmp_path / "out"), str(tmp_path / "data"), COCO)
