"""What commands with shards, URLs or workers would do."""

import shutil
import time

import pytest

from primaps.config import preset_config
from primaps.engine.commands import Request
from primaps.engine.dry_run import (
    path_name,
    planned_export_shards,
    planned_predict,
    planned_proposals,
)
from primaps.engine.exporting import ExportWorker, export_work
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Task
from primaps.errors import ConfigError
from primaps.pipeline.beginning import Choice
from primaps.pipeline.exporting import ExportSettings
from primaps.pipeline.labelling import Extras
from primaps.runs.model import Model
from primaps.types import ImageFile

CHOICE = Choice(preset="fast", backbone="texture", device="cpu")


@pytest.fixture
def asked(heard):
    """``asked(images, out, **options)``: what is asked for."""

    def request(images, out, **options):
        given = EngineOptions(**options)
        return Request([str(images)], str(out), given, "cpu", False, heard)

    return request


def told(lines):
    return dict(line.split(":", 1) for line in lines if ":" in line)


def test_shards_yet_to_be_made(draw, tmp_path, asked, contents):
    images, out = draw(tmp_path / "images", 7), tmp_path / "out"
    request = asked(images, out, shards=2, workers=2, shard_format="tar")
    lines = told(planned_proposals(request, CHOICE, time.perf_counter()))
    assert lines["Images"].strip() == "7, 0 of them done, 7 to do"
    assert lines["Shards"].strip() == "4 of 2 images (tar), 0 of them done, 4 to do"
    assert "by 4 images that were tried" in lines["Time"]
    assert str(out) in lines["Disk"]
    assert not out.exists()


@pytest.mark.slow
def test_shards_of_which_some_are_done(draw, tmp_path, asked, propose, contents):
    images, out = draw(tmp_path / "images", 5), tmp_path / "out"
    propose(images, out, workers=1, shards=2)
    (out / "shards" / "000001.tar").write_bytes(b"torn")
    shutil.copy(images / "0" / "000.png", images / "another.png")
    before = contents(out)
    lines = told(planned_proposals(asked(images, out), CHOICE, time.perf_counter()))
    assert lines["Images"].strip() == "6, 3 of them done, 3 to do"
    assert lines["Shards"].strip() == "4 of 2 images (tar), 2 of them done, 2 to do"
    other = asked(images, out, shard_format="parquet")
    with pytest.raises(ConfigError, match="--shard-format tar"):
        planned_proposals(other, CHOICE, time.perf_counter())
    refused = planned_proposals(
        asked(images, out), Choice({"features.size": 96}, "fast", "texture"), time.perf_counter()
    )
    assert any("Refused without --overwrite" in line for line in refused)
    assert contents(out) == before


def test_images_in_an_object_store_and_the_usual_folders(draw, tmp_path, asked, s3, propose):
    import fsspec

    images = draw(tmp_path / "images", 3)
    fsspec.filesystem("s3").put(str(images), f"{s3}/images", recursive=True)
    out = tmp_path / "out"
    lines = told(planned_proposals(asked(f"{s3}/images", out), CHOICE, time.perf_counter()))
    assert lines["Images"].strip() == "3, 0 of them done, 3 to do"
    assert lines["Copies"].strip().startswith("3 images, ")
    assert not out.exists()
    propose(f"{s3}/images", out)
    lines = told(planned_proposals(asked(f"{s3}/images", out), CHOICE, time.perf_counter()))
    assert lines["Images"].strip() == "3, 3 of them done, 0 to do"
    assert "Copies" not in lines
    assert "little" in lines["Time"]
    shutil.rmtree(out / "store")
    lines = told(planned_proposals(asked(f"{s3}/images", out), CHOICE, time.perf_counter()))
    assert lines["Images"].strip() == "3, 0 of them done, 3 to do"


def test_label_maps_by_workers(draw, tmp_path, asked, finished_run, texture):
    images = draw(tmp_path / "images", 3)
    model, base = Model.load(finished_run), preset_config("fast")
    fitted = (texture, model, base, {}, Extras(certainty=True))
    request = asked(images, tmp_path / "out", workers=1)
    lines = told(planned_predict(request, *fitted, time.perf_counter()))
    assert lines["Images"].strip() == "3, 0 of them done, 3 to do"
    assert "with 1 worker, by 3 images" in lines["Time"]
    far = asked(images, f"memory://dry-run/{tmp_path.name}")
    lines = told(planned_predict(far, *fitted, time.perf_counter()))
    assert lines["Shards"].strip() == "1 of 256 images (tar), 0 of them done, 1 to do"
    assert "memory://dry-run" in lines["Sent"]


def test_images_that_cannot_be_used(tmp_path, asked):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_text("no image")
    request = asked(tmp_path / "images", tmp_path / "out", shards=2)
    lines = told(planned_proposals(request, CHOICE, time.perf_counter()))
    assert "not known" in lines["Time"]


@pytest.mark.parametrize("labelled", ["tar"], indirect=True)
def test_data_sets_of_shards(labelled, tmp_path):
    settings, out = ExportSettings("coco"), str(tmp_path / "data")
    lines = told(planned_export_shards(str(labelled), out, settings))
    assert lines["Images"].strip() == "5, 0 of them up to date, 5 to do"
    assert lines["Data sets"].strip() == "2 (part-...), 0 of them up to date, 2 to do"
    assert lines["Photographs"].strip().startswith("copies of ")
    assert not (tmp_path / "data").exists()
    work, _ = export_work(str(labelled), out, settings)
    ExportWorker(work)(Task(0))
    lines = told(planned_export_shards(str(labelled), out, settings))
    assert lines["Data sets"].strip() == "2 (part-...), 1 of them up to date, 1 to do"


def test_pages_belong_to_their_file(tmp_path):
    assert path_name(ImageFile(tmp_path / "x", "a.tif.p0003", 3)) == "a.tif"
    assert path_name(ImageFile(tmp_path / "x", "a.tif")) == "a.tif"
