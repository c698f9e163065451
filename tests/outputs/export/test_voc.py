"""Pascal VOC."""

import numpy as np
import pytest
from PIL import Image

from primaps.errors import ConfigError
from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportOptions
from primaps.outputs.export.target import Target
from primaps.outputs.export.voc import Voc
from primaps.types import ClassTable, NamedClass


def label_map_lines(root):
    lines = (root / "labelmap.txt").read_text("utf-8").splitlines()
    assert lines[0].startswith("#")
    rows = [line.split(":") for line in lines[1:]]
    assert {len(row) for row in rows} == {4}
    return [(row[0], tuple(map(int, row[1].split(",")))) for row in rows]


def test_label_maps_come_back(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "voc")
    names = [name for name, _ in label_map_lines(export.root)]
    ids = {name: class_id for class_id, name in drawn.NAMES.items()}
    table = np.full(256, 255)
    for index, name in enumerate(names):
        table[index] = ids.get(name, 255)
    stems = (export.root / "ImageSets/Segmentation/trainval.txt").read_text("utf-8").splitlines()
    assert stems == [image.stem for image in export.images]
    for image in export.images:
        with Image.open(export.root / "SegmentationClass" / f"{image.stem}.png") as picture:
            mask = np.asarray(picture)
        np.testing.assert_array_equal(table[mask], export.labels(image.name))
        np.testing.assert_array_equal(mask == 255, export.labels(image.name) == 255)
        assert (export.root / "JPEGImages" / image.file).is_file()


def test_background_comes_first_in_the_label_map(drawn, tmp_path):
    """cvat#1736."""
    rows = label_map_lines(drawn.make_export(tmp_path, "voc").root)
    assert rows[0] == ("background", (0, 0, 0))
    assert [name for name, _ in rows[1:-1]] == list(drawn.NAMES.values())
    assert rows[-1] == ("ignored", (224, 224, 192))


def test_masks_have_the_palette_of_the_label_map(drawn, tmp_path):
    """labelme#132: without a palette, masks look black."""
    export = drawn.make_export(tmp_path, "voc")
    colours = dict(enumerate(colour for _, colour in label_map_lines(export.root)[:-1]))
    colours[255] = (224, 224, 192)
    assert len(set(colours.values())) == len(colours)
    for image in export.images:
        with Image.open(export.root / "SegmentationClass" / f"{image.stem}.png") as picture:
            assert picture.mode == "P"
            mask, painted = np.asarray(picture), np.asarray(picture.convert("RGB"))
        for index in np.unique(mask):
            assert (painted[mask == index] == colours[int(index)]).all()


def test_parts(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "voc", splits=("train", "val", "test"))
    for split in ("train", "val", "test"):
        text = (export.root / f"ImageSets/Segmentation/{split}.txt").read_text("utf-8")
        assert text.splitlines() == [i.stem for i in export.images if i.split == split]


def test_nothing_unlabelled_no_void_in_the_label_map(drawn, tmp_path):
    paths = drawn.write_photographs(tmp_path / "photos")
    export = drawn.make_export(tmp_path, "voc", paths={"full.png": paths["full.png"]})
    assert "ignored" not in dict(label_map_lines(export.root))


def test_names_that_would_break_the_label_map(tmp_path):
    table = ClassTable(
        2, (NamedClass(0, "#1: roof", (1, 2, 3), (0,)), NamedClass(1, "b", (1, 2, 3), (1,)))
    )
    exporter = Voc(Target(tmp_path), ExportClasses.of(table), ExportOptions())
    exporter.finish(lambda split=None: iter([]))
    rows = label_map_lines(tmp_path)
    assert [name for name, _ in rows] == ["background", "＃1： roof", "b"]


def test_too_many_classes_for_a_byte(tmp_path):
    every = [NamedClass(number, None, (number, 1, 1), ()) for number in range(255)]
    most, many = (ExportClasses.of(ClassTable(1, tuple(every[:count]))) for count in (254, 255))
    Voc(Target(tmp_path), most, ExportOptions())
    with pytest.raises(ConfigError, match="at most 254 classes"):
        Voc(Target(tmp_path), many, ExportOptions())
