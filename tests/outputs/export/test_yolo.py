"""YOLO segmentation."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportImage, ExportOptions
from primaps.outputs.export.target import Target
from primaps.outputs.export.yolo import Yolo


def names(root):
    """Names by number, and the other entries of data.yaml."""
    lines = (root / "data.yaml").read_text("utf-8").splitlines()
    start = lines.index("names:")
    found = {}
    for line in lines[start + 1 :]:
        number, _, name = line.strip().partition(": ")
        found[int(number)] = json.loads(name)
    return found, dict(line.split(": ") for line in lines[:start])


def painted_rows(file, size):
    """As ultralytics paints them: decimals cut off, the outline belongs to the mask."""
    for row in file.read_text("ascii").splitlines():
        number, *shares = row.split()
        points = np.array(shares, np.float32).reshape(-1, 2) * np.float32(size[::-1])
        assert ((points >= 0) & (points <= size[::-1])).all()
        picture = Image.new("L", size[::-1])
        corners = [tuple(point) for point in points.astype(int).tolist()]
        ImageDraw.Draw(picture).polygon(corners, fill=1, outline=1)
        yield int(number), np.asarray(picture)


@pytest.mark.parametrize("splits", [(), ("train", "val", "test")])
def test_label_maps_come_back(drawn, tmp_path, splits):
    export = drawn.make_export(tmp_path, "yolo", splits=splits)
    found, folders = names(export.root)
    ids = {name: class_id for class_id, name in drawn.NAMES.items()}
    assert list(found.values()) == list(drawn.NAMES.values())
    for image in export.images:
        split = image.split if splits else "train"
        assert folders[split] == f"images/{split}"
        assert (export.root / "images" / split / image.file).is_file()
        file = export.root / "labels" / split / f"{image.stem}.txt"
        rows = [(ids[found[number]], mask) for number, mask in painted_rows(file, image.size)]
        labels = drawn.painted(image.size, rows)
        np.testing.assert_array_equal(labels, export.labels(image.name))


def test_one_polygon_per_row(drawn, tmp_path):
    """ultralytics#6289: a row is one region, its holes cut out, never two polygons in a row."""
    export = drawn.make_export(tmp_path, "yolo")
    for file in (export.root / "labels").rglob("*.txt"):
        for row in file.read_text().splitlines():
            assert len(row.split()) % 2 == 1
            assert len(row.split()) >= 9
    image = next(image for image in export.images if image.name == "a.png")
    rows = list(painted_rows(export.root / "labels/train/a_png.txt", image.size))
    rings = [mask for number, mask in rows if number == 2]
    assert len(rings) == 1
    assert rings[0][12, 16] == 0


def test_no_masks_beside_polygons(drawn, tmp_path):
    """ultralytics#25161."""
    export = drawn.make_export(tmp_path, "yolo")
    assert {path.name for path in export.root.iterdir()} == {"data.yaml", "images", "labels"}


def test_an_image_without_classes_has_an_empty_file(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "yolo")
    assert (export.root / "labels/train/empty.txt").read_bytes() == b""


def test_train_and_val_are_always_there(drawn, tmp_path):
    _, folders = names(drawn.make_export(tmp_path, "yolo").root)
    assert folders == {"train": "images/train", "val": "images/train"}


def test_labels_are_where_ultralytics_looks_for_them(drawn, tmp_path):
    """It puts ``labels`` in place of the last folder ``images`` of a path."""
    source = drawn.write_photographs(tmp_path / "photos")["full.png"]
    stem = "shoot/images/full"
    label_map = drawn.label_maps()["full.png"]
    image = ExportImage(
        f"{stem}.png", stem, "train", source, 9, 11, False, source.read_bytes, lambda: label_map
    )
    exporter = Yolo(Target(tmp_path), ExportClasses.of(drawn.CLASSES), ExportOptions())
    exporter.add(image)
    (path,) = (tmp_path / "images").rglob("full.png")
    before, _, after = str(path).rpartition("/images/")
    assert (Path(f"{before}/labels/{after}").with_suffix(".txt")).read_text().startswith("2 ")
