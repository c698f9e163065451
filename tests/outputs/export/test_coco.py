"""COCO instances."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from scipy import ndimage

SPLITS = ("train", "val", "test")


def read(export, name="instances"):
    return json.loads((export.root / "annotations" / f"{name}.json").read_bytes())


def masks(data, image):
    size = (image["height"], image["width"])
    for each in data["annotations"]:
        if each["image_id"] == image["id"]:
            rle = each["segmentation"]
            if isinstance(rle, list):
                rle = coco_mask.merge(coco_mask.frPyObjects(rle, *size))
            yield each, coco_mask.decode(rle).astype(bool)


@pytest.mark.parametrize("polygons", [False, True])
def test_label_maps_come_back(drawn, tmp_path, polygons):
    export = drawn.make_export(tmp_path, "coco", polygons=polygons)
    data = read(export)
    for image in data["images"]:
        found = [(each["category_id"] - 1, mask) for each, mask in masks(data, image)]
        labels = drawn.painted((image["height"], image["width"]), found)
        np.testing.assert_array_equal(labels, export.labels(image["file_name"]))


def test_a_whole_data_set_has_exactly_one_list(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco")
    assert [path.name for path in export.root.rglob("*.json")] == ["instances.json"]


def test_file_names_are_relative_paths_with_their_extension(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco")
    names = [image["file_name"] for image in read(export)["images"]]
    assert names == sorted(drawn.label_maps())
    for name in names:
        assert (export.root / "images" / name).is_file()


def test_one_annotation_per_connected_region_of_a_class(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco")
    data = read(export)
    for image in data["images"]:
        found = list(masks(data, image))
        for each, mask in found:
            assert ndimage.label(mask)[1] == 1
            assert each["area"] == mask.sum()
            rows, columns = np.nonzero(mask)
            size = [np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert each["bbox"] == [columns.min(), rows.min(), *size]
            assert each["iscrowd"] == 0
        labels = export.labels(image["file_name"])
        regions = sum(ndimage.label(labels == class_id)[1] for class_id in drawn.IDS)
        assert len(found) == regions


def test_ids_are_unique_and_categories_named(drawn, tmp_path):
    data = read(drawn.make_export(tmp_path, "coco"))
    ids = [each["id"] for each in data["annotations"]]
    assert ids == list(range(1, len(ids) + 1))
    assert {each["id"] - 1: each["name"] for each in data["categories"]} == drawn.NAMES


def test_no_annotation_is_empty(drawn, tmp_path):
    """supervision#2285: empty masks crash readers."""
    data = read(drawn.make_export(tmp_path, "coco"))
    assert all(each["area"] > 0 for each in data["annotations"])
    (empty,) = [image for image in data["images"] if image["file_name"] == "empty.png"]
    assert empty["id"] not in {each["image_id"] for each in data["annotations"]}


def test_no_part_of_a_polygon_is_lost(drawn, tmp_path):
    """supervision#2322: every region and every hole counts, those of one pixel as well."""
    export = drawn.make_export(tmp_path, "coco", polygons=True)
    data = read(export)
    assert all(len(each["segmentation"][0]) >= 8 for each in data["annotations"])
    (image,) = [image for image in data["images"] if image["file_name"].endswith("islands.png")]
    assert sum(each["area"] == 1 for each, _ in masks(data, image)) > 20


def test_parts_have_lists_of_their_own(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco", splits=SPLITS)
    found = {split: read(export, f"instances_{split}") for split in SPLITS}
    for split, data in found.items():
        wanted = [image.name for image in export.images if image.split == split]
        assert [image["file_name"] for image in data["images"]] == wanted


def test_turned_photographs_are_written_upright_without_the_tag(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco", link=True)
    with Image.open(export.root / "images" / "turned.jpg") as picture:
        assert picture.size[::-1] == export.labels("turned.jpg").shape
        assert 0x0112 not in picture.getexif()
    assert not (export.root / "images" / "turned.jpg").is_symlink()
    assert (export.root / "images" / "a.jpg").is_symlink()


def test_copies_are_byte_for_byte(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco")
    for image in export.images:
        copy = export.root / "images" / image.name
        assert not copy.is_symlink()
        if not image.turned:
            assert copy.read_bytes() == image.path.read_bytes()
