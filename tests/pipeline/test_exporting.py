"""From runs and predicted label maps to exports."""

import dataclasses
import json
import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import primaps as pm
from primaps import pipeline
from primaps.data.scanning import scan
from primaps.errors import CheckpointError, ConfigError, DatasetError, OutputError
from primaps.naming.table_text import write_classes
from primaps.outputs.export.journal import FOLDER
from primaps.outputs.export.registry import find_exporter
from primaps.outputs.label_files import read_label_image, write_certainty, write_label_map
from primaps.pipeline.exporting import ExportSettings, export, unique_stems
from primaps.pipeline.labelling import Extras
from primaps.pipeline.named_labels import NamedLabels, correct, undo_correction
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.types import ClassTable, NamedClass

CORE = (
    "coco", "coco-stuff", "panoptic", "voc", "yolo", "cvat", "datumaro", "label-studio", "labelme",
    "fiftyone", "geojson",
)  # fmt: skip
CLASSES = ClassTable(
    4,
    (
        NamedClass(0, "road", (1, 2, 3), (0, 2)),
        NamedClass(1, None, (4, 5, 6), (1,)),
        NamedClass(3, "shadow", (7, 8, 9), (3,), ignore=True),
    ),
)


MODEL = "0123456789abcdef"


def labels_of(number, size=(10, 14)):
    """(H, W) uint8 cluster ids."""
    generator = np.random.default_rng(number)
    blocks = generator.choice(np.array([0, 1, 2, 3, 255], np.uint8), (5, 7))
    return np.kron(blocks, np.ones((size[0] // 5, size[1] // 7), np.uint8))


def write_run(root, count, *, manifest=True, table=None):
    """A run folder as `export` needs it, and its photographs beside it."""
    photos = root / "photos"
    entries = {}
    for number in range(count):
        name = f"sub {number % 3}/{number:03d}.png"
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        labels = labels_of(number)
        generator = np.random.default_rng(number)
        Image.fromarray(generator.integers(0, 256, (*labels.shape, 3), np.uint8)).save(path)
        write_label_map(root / "run" / "labels" / f"{name}.png", labels, {})
        entries[name] = {"path": str(path), "height": 10, "width": 14}
    run = root / "run"
    record = {
        "format": 1,
        "config": {"num_clusters": 4},
        "settings": {"model": {"fingerprint": MODEL}},
        "inputs": [str(photos)],
    }
    (run / "run.json").write_text(json.dumps(record))
    if table is not None:
        write_table(run, table)
    if manifest:
        write_manifest(run, entries)
    return run


def write_table(run, table):
    (run / "classes.yaml").write_text(write_classes(table, MODEL), "utf-8")


def write_manifest(run, entries):
    (run / "store").mkdir(exist_ok=True)
    (run / "store" / "manifest.json").write_text(json.dumps({"images": entries}))


@pytest.fixture
def run(tmp_path):
    """With names."""
    return write_run(tmp_path, 6, table=CLASSES)


@pytest.fixture
def nameless(tmp_path):
    return write_run(tmp_path, 6)


def contents(out):
    """Every byte of an export, without its journal."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and FOLDER not in path.parts
    }


def read_coco(out):
    """(H, W) arrays of class ids by file name, and the names of the categories."""
    data = json.loads((out / "annotations" / "instances.json").read_bytes())
    found = {}
    for image in data["images"]:
        labels = np.full((image["height"], image["width"]), 255)
        for each in data["annotations"]:
            if each["image_id"] == image["id"]:
                mask = coco_mask.decode(each["segmentation"]).astype(bool)
                labels[mask] = each["category_id"] - 1
        found[image["file_name"]] = labels
    return found, [each["name"] for each in data["categories"]]


def test_names_merges_and_ignored_classes_are_applied(run, tmp_path):
    exported = export(run, tmp_path / "out", ExportSettings("coco"))
    assert len(exported.images) == 6
    assert not exported.failures
    found, names = read_coco(tmp_path / "out")
    assert names == ["road", "class 1"]
    assert tuple(found) == exported.images
    table = np.full(256, 255)
    table[:3] = 0, 1, 0
    for name, labels in found.items():
        np.testing.assert_array_equal(labels, table[labels_of(int(name[-7:-4]))])


def test_without_names_every_cluster_is_a_class(nameless, tmp_path):
    export(nameless, tmp_path / "out", ExportSettings("coco"))
    found, names = read_coco(tmp_path / "out")
    assert names == ["class 0", "class 1", "class 2", "class 3"]
    for name, labels in found.items():
        np.testing.assert_array_equal(labels, labels_of(int(name[-7:-4])))


@pytest.mark.parametrize("name", ['the "big" sky\'s <blue>', "Bäume & Häuser", "Wald 🌳"])
def test_names_reach_the_export_as_they_were_given(run, tmp_path, name):
    pm.classes(run, name={1: name})
    export(run, tmp_path / "out", ExportSettings("coco"))
    assert read_coco(tmp_path / "out")[1] == ["road", name]


def test_an_export_after_renaming_is_redone_in_place(run, tmp_path):
    out = tmp_path / "out"
    for format_name in ("coco", "voc"):
        export(run, out / format_name, ExportSettings(format_name))
    pm.classes(run, name={"road": "street"}, merge={(1, 3): "shade"})
    for format_name in ("coco", "voc"):
        export(run, out / format_name, ExportSettings(format_name))
        export(run, out / "new" / format_name, ExportSettings(format_name))
        assert contents(out / format_name) == contents(out / "new" / format_name)
    found, names = read_coco(out / "coco")
    assert names == ["street", "shade"]
    table = np.full(256, 255)
    table[:4] = 0, 1, 0, 1
    np.testing.assert_array_equal(found["sub 0/000.png"], table[labels_of(0)])


def test_a_correction_paints_one_proposal_and_redoes_one_image(named_run, tmp_path):
    out, settings = tmp_path / "out", ExportSettings("coco")
    export(named_run, out, settings)
    before = read_coco(out)[0]
    correct(named_run, [("0.png", 1, 3)])
    changed = Counting()
    export(named_run, out, settings, changed)
    assert changed.images == 1
    expected = {**before, "0.png": before["0.png"].copy()}
    expected["0.png"][read_label_image(named_run / "proposals" / "0.png.png") == 1] = 3
    for name, labels in read_coco(out)[0].items():
        np.testing.assert_array_equal(labels, expected[name])
    pm.classes(named_run, ignore=[3])
    export(named_run, out, settings)
    assert (read_coco(out)[0]["0.png"][expected["0.png"] == 3] == 255).all()
    pm.classes(named_run, unignore=[3])
    undo_correction(named_run)
    export(named_run, out, settings)
    np.testing.assert_array_equal(read_coco(out)[0]["0.png"], before["0.png"])


def test_a_correction_counts_where_the_label_map_is_uncertain(named_run, tmp_path):
    correct(named_run, [("0.png", 1, 3)])
    for image in NamedLabels(named_run).files.root.joinpath("labels").rglob("*.png"):
        path = named_run / "certainty" / image.relative_to(named_run / "labels")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros_like(read_label_image(image), dtype=np.uint8)).save(path)
    export(named_run, tmp_path / "out", ExportSettings("coco", unknown_below=0.5))
    found = read_coco(tmp_path / "out")[0]
    said = read_label_image(named_run / "proposals" / "0.png.png") == 1
    np.testing.assert_array_equal(found["0.png"], np.where(said, 3, 255))
    assert (found["2.png"] == 255).all()


def test_certainties_of_the_pipeline(named_run, tmp_path):
    stored = pipeline.reopen(named_run, {}, device="cpu")
    out, extras = tmp_path / "predicted", Extras(certainty=True)
    pipeline.predict_from_store(stored, out, named_run / "model", extras=extras)
    levels = read_label_image(out / "certainty" / "0.png.png")
    limit = float(np.median(levels)) / 255
    export(out, tmp_path / "out", ExportSettings("coco", unknown_below=limit))
    clusters = read_label_image(out / "labels" / "0.png.png")
    expected = np.where(levels < limit * 255, 255, clusters)
    assert (expected == 255).any()
    np.testing.assert_array_equal(read_coco(tmp_path / "out")[0]["0.png"], expected)
    write_certainty(out / "certainty" / "0.png.png", levels.astype(np.uint8), {"model": "another"})
    (failure,) = export(out, tmp_path / "out", ExportSettings("coco", unknown_below=limit)).failures
    assert "model of its label map" in failure.reason


def test_sleeping_corrections_are_told(named_run, tmp_path):
    correct(named_run, [("0.png", 1, 3)])
    (named_run / "proposals" / "0.png.png").unlink()
    told = Counting()
    export(named_run, tmp_path / "out", ExportSettings("coco"), told)
    assert told.notes[0].startswith("1 corrections mean nothing at present")


def test_proposals_that_cannot_be_read_are_reported(named_run, tmp_path):
    correct(named_run, [("0.png", 1, 3)])
    path = named_run / "proposals" / "0.png.png"
    data = bytearray(path.read_bytes())
    pixels = data.index(b"IDAT") + 4
    data[pixels : pixels + 8] = bytes(8)
    path.write_bytes(data)
    exported = export(named_run, tmp_path / "out", ExportSettings("coco"))
    assert [Path(failure.path).name for failure in exported.failures] == ["0.png"]


def test_mistakes_in_names_end_it_before_anything_is_written(run, tmp_path):
    (run / "classes.yaml").write_text("classes: {3: {nmae: x}}\nnum_clusters: 4\n")
    with pytest.raises(ConfigError, match="line 1"):
        export(run, tmp_path / "out", ExportSettings("coco"))
    assert not (tmp_path / "out").exists()


def test_label_maps_of_another_model_are_reported(run, tmp_path):
    name = "sub 0/000.png"
    write_label_map(run / "labels" / f"{name}.png", labels_of(0), {"model": "another"})
    exported = export(run, tmp_path / "out", ExportSettings("coco"))
    assert "made with another one" in exported.failures[0].reason
    assert name not in exported.images


def test_small_regions_become_unlabelled(run, tmp_path):
    export(run, tmp_path / "out", ExportSettings("coco", min_area=5))
    data = json.loads((tmp_path / "out/annotations/instances.json").read_bytes())
    assert min(each["area"] for each in data["annotations"]) >= 5


def test_uncertain_pixels_become_unlabelled(run, tmp_path):
    settings = ExportSettings("coco", unknown_below=0.5)
    with pytest.raises(ConfigError, match="Expected certainties"):
        export(run, tmp_path / "out", settings)
    certainty = np.full((10, 14), 200, np.uint8)
    certainty[:, :4] = 100
    for path in sorted((run / "labels").rglob("*.png"))[1:]:
        target = run / "certainty" / path.relative_to(run / "labels")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(certainty).save(target)
    exported = export(run, tmp_path / "out", settings)
    assert len(exported.failures) == 1
    assert "certainty" in exported.failures[0].reason
    for labels in read_coco(tmp_path / "out")[0].values():
        assert (labels[:, :4] == 255).all()
        assert (labels[:, 4:] != 255).any()


def test_predicted_label_maps_without_a_manifest(tmp_path):
    run = write_run(tmp_path, 4, manifest=False)
    exported = export(run, tmp_path / "out", ExportSettings("voc"))
    assert len(exported.images) == 4


def targets(out):
    return json.loads((out / "mask_targets.json").read_text())


def test_a_run_and_what_was_predicted_with_its_model(photographs, tmp_path, texture, small_config):
    out = tmp_path / "segmented"
    pipeline.segment(pipeline.open_run([photographs], out, texture, small_config))
    new = photographs / "new"
    new.mkdir()
    shutil.copy(photographs / "p0.png", new / "later.png")
    model = Model.load(out / "model")
    pm.classes(out, name={0: "meadow"})
    predicted = tmp_path / "predicted"
    pipeline.predict_images([photographs], predicted, texture, model, small_config, names=out)
    stored = pipeline.reopen(out, {}, device="cpu")
    pipeline.predict_from_store(stored, tmp_path / "stored", out / "model")
    pm.classes(out, name={0: "sky"})
    settings = ExportSettings("fiftyone")
    assert len(export(out, tmp_path / "out", settings).images) == 5
    names = export(tmp_path / "predicted", tmp_path / "all", settings).images
    assert names == ("more/p4.png", "new/later.png", "p0.png", "p1.png", "p2.png", "p3.png")
    for name in names:
        with Image.open(tmp_path / "predicted" / "labels" / f"{name}.png") as picture:
            clusters = np.asarray(picture)
        with Image.open(tmp_path / "all" / "labels" / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), clusters + 1)
    assert targets(tmp_path / "out")["1"] == "sky"
    assert targets(tmp_path / "all")["1"] == "meadow"
    names = export(tmp_path / "stored", tmp_path / "again", settings).images
    assert names == ("more/p4.png", "p0.png", "p1.png", "p2.png", "p3.png")
    assert targets(tmp_path / "again")["1"] == "meadow"


@pytest.mark.parametrize("format_name", CORE)
def test_a_killed_export_ends_with_the_same_bytes(run, tmp_path, cutting, format_name):
    settings = ExportSettings(format_name, split=(0.5, 0.5), min_area=3)
    export(run, tmp_path / "whole", settings)
    out = tmp_path / "killed"
    stages = [("images", 1), ("images", 4)]
    stages += [("lists", 2)] if find_exporter(format_name).passes else []
    for stage, step in stages:
        with cutting.short():
            export(run, out, settings, cutting.at(stage, step))
    assert len(export(run, out, settings).images) == 6
    assert contents(out) == contents(tmp_path / "whole")


class Counting(Silent):
    """Counts the images that are worked on."""

    def __init__(self):
        self.images = 0
        self.stage = ""
        self.notes = []

    def start(self, stage, total, done=0):
        self.stage = stage

    def advance(self, steps=1):
        self.images += steps * (self.stage == "images")

    def note(self, message):
        self.notes.append(message)


def test_what_is_up_to_date_is_not_done_again(run, tmp_path, cutting):
    first, again, changed = Counting(), Counting(), Counting()
    out, settings = tmp_path / "out", ExportSettings("labelme")
    export(run, out, settings, first)
    before = contents(out)
    export(run, out, settings, again)
    assert contents(out) == before
    labels = run / "labels" / "sub 0" / "000.png.png"
    write_label_map(labels, np.zeros((10, 14), np.uint8), {"a longer": "header"})
    export(run, out, settings, changed)
    assert (first.images, again.images, changed.images) == (6, 0, 1)
    assert "MB" in first.notes[0]
    assert not again.notes


def test_an_export_made_again_leaves_nothing_of_the_earlier_one(run, tmp_path):
    out = tmp_path / "out"
    export(run, out, ExportSettings("panoptic", split=(0.5, 0.5)))
    manifest = json.loads((run / "store/manifest.json").read_text())["images"]
    del manifest["sub 0/000.png"]
    write_manifest(run, manifest)
    renamed = dataclasses.replace(CLASSES.classes[0], name="street")
    table = dataclasses.replace(CLASSES, classes=(renamed, *CLASSES.classes[1:]))
    write_table(run, table)
    export(run, out, ExportSettings("panoptic"))
    export(run, tmp_path / "new", ExportSettings("panoptic"))
    assert contents(out) == contents(tmp_path / "new")


def test_a_missing_photograph_is_reported_and_skipped(run, tmp_path):
    photo = tmp_path / "photos" / "sub 1" / "001.png"
    photo.unlink()
    exported = export(run, tmp_path / "out", ExportSettings("yolo"))
    assert [failure.path for failure in exported.failures] == [str(photo)]
    assert "sub 1/001.png" not in exported.images
    assert not list((tmp_path / "out").rglob("001.*"))
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(DatasetError, match="all 6 inputs failed"):
        export(run, tmp_path / "other", ExportSettings("yolo"))


def test_nothing_is_left_of_an_image_that_fails_half_way(run, tmp_path):
    photo = tmp_path / "photos" / "sub 1" / "001.png"
    exported = export(run, tmp_path / "out", ExportSettings("voc"))
    data = photo.read_bytes()
    photo.write_bytes(data[:-40])
    exported = export(run, tmp_path / "out", ExportSettings("voc"))
    assert len(exported.failures) == 1
    assert not list((tmp_path / "out").rglob("001.*"))


def test_a_photograph_of_another_size_is_reported(run, tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "photos" / "sub 2" / "002.png")
    exported = export(run, tmp_path / "out", ExportSettings("coco"))
    assert "it has changed" in exported.failures[0].reason


def test_a_full_disk_ends_the_export(run, tmp_path, monkeypatch):
    def full(*_):
        raise OutputError("The disk is full")

    monkeypatch.setattr("primaps.outputs.export.target.atomic_write", full)
    with pytest.raises(OutputError, match="disk is full"):
        export(run, tmp_path / "out", ExportSettings("coco"))


def test_the_split_stays_when_images_come(tmp_path):
    settings = ExportSettings("voc", split=(0.6, 0.2, 0.2), seed=3)
    parts = {}
    for count in (12, 30):
        run = write_run(tmp_path / str(count), count)
        out = tmp_path / f"out {count}"
        export(run, out, settings)
        for part in ("train", "val", "test"):
            text = (out / "ImageSets/Segmentation" / f"{part}.txt").read_text()
            parts.setdefault(count, {}).update(dict.fromkeys(text.splitlines(), part))
    assert len(parts[12]) == 12
    assert parts[12].items() <= parts[30].items()
    assert set(parts[30].values()) == {"train", "val", "test"}


def test_links(run, tmp_path):
    export(run, tmp_path / "out", ExportSettings("coco", link=True))
    link = tmp_path / "out/images/sub 0/000.png"
    assert link.readlink() == tmp_path / "photos/sub 0/000.png"


def test_folders_that_hold_no_label_maps(tmp_path):
    with pytest.raises(CheckpointError, match="to hold label maps"):
        export(tmp_path, tmp_path / "out", ExportSettings("coco"))


def test_the_run_folder_itself_is_no_place_for_an_export(run):
    with pytest.raises(ConfigError, match="holds other files"):
        export(run, run, ExportSettings("coco"))


@pytest.mark.parametrize("format_name", ["coco-stuff", "voc"])
def test_an_export_beside_photographs_is_not_taken_for_some(run, tmp_path, format_name):
    out = tmp_path / "here" / "export"
    export(run, out, ExportSettings(format_name))
    with pytest.raises(DatasetError, match="export is an export, whose outputs are no photographs"):
        scan([out.parent])
    (copies,) = out.glob("*mages")
    assert scan([copies]).images


def test_polygons_belong_to_coco(run, tmp_path):
    with pytest.raises(ConfigError, match="--polygons"):
        export(run, tmp_path / "out", ExportSettings("voc", polygons=True))


def test_equal_stems_keep_their_extensions():
    names = ["a.jpg", "a.png", "a_jpg.png", "b.tar.gz", "d/a.jpg"]
    assert unique_stems(names) == {
        "a.jpg": "a_jpg_",
        "a.png": "a_png",
        "a_jpg.png": "a_jpg",
        "b.tar.gz": "b.tar",
        "d/a.jpg": "d/a",
    }


def peak(run, out, format_name):
    tracemalloc.start()
    try:
        export(run, out, ExportSettings(format_name))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("format_name", ["coco", "cvat", "label-studio", "datumaro"])
def test_memory_does_not_grow_with_the_annotations(tmp_path, format_name):
    """A list of all annotations would take far more than the little that an image may."""
    noise = np.random.default_rng(0).integers(0, 4, (12, 16), np.uint8)
    peaks = []
    for count in (3, 15, 75):  # the first time, modules are imported
        root = tmp_path / str(len(peaks))
        run = write_run(root, count, table=CLASSES)
        for path in (run / "labels").rglob("*.png"):
            write_label_map(path, noise, {})
        for path in (root / "photos").rglob("*.png"):
            Image.fromarray(noise).save(path)
        peaks.append(peak(run, root / "out", format_name))
    assert peaks[2] - peaks[1] < 60 * 4000  # threads decode up to 130 kB at a time
