"""COCO panoptic."""

import json

import numpy as np
from PIL import Image


def read(export, ending=""):
    """(data, segment ids by file name): the id is R + 256 G + 65536 B."""
    data = json.loads((export.root / "annotations" / f"panoptic{ending}.json").read_bytes())
    segments = {}
    for each in data["annotations"]:
        path = export.root / "annotations" / f"panoptic{ending}" / each["file_name"]
        with Image.open(path) as picture:
            assert picture.mode == "RGB"
            segments[each["file_name"]] = np.asarray(picture).astype(int) @ [1, 256, 65536]
    return data, segments


def test_label_maps_come_back(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "panoptic")
    data, segments = read(export)
    names = {image["id"]: image["file_name"] for image in data["images"]}
    assert len(data["annotations"]) == len(export.images)
    for each in data["annotations"]:
        pixels = segments[each["file_name"]]
        found = [
            (segment["category_id"] - 1, pixels == segment["id"])
            for segment in each["segments_info"]
        ]
        expected = export.labels(names[each["image_id"]])
        np.testing.assert_array_equal(drawn.painted(expected.shape, found), expected)
        for segment, (_, mask) in zip(each["segments_info"], found, strict=True):
            assert segment["area"] == mask.sum() > 0


def test_segment_id_0_is_void_and_nothing_else(drawn, tmp_path):
    """detr#442."""
    export = drawn.make_export(tmp_path, "panoptic")
    data, segments = read(export)
    names = {image["id"]: image["file_name"] for image in data["images"]}
    for each in data["annotations"]:
        assert all(segment["id"] > 0 for segment in each["segments_info"])
        void = export.labels(names[each["image_id"]]) == 255
        np.testing.assert_array_equal(segments[each["file_name"]] == 0, void)


def test_categories(drawn, tmp_path):
    data, _ = read(drawn.make_export(tmp_path, "panoptic"))
    assert {each["id"] - 1: each["name"] for each in data["categories"]} == drawn.NAMES
    assert {each["isthing"] for each in data["categories"]} == {0}


def test_parts(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "panoptic", splits=("train", "val"))
    for split in ("train", "val"):
        data, _ = read(export, f"_{split}")
        wanted = [image.name for image in export.images if image.split == split]
        assert [image["file_name"] for image in data["images"]] == wanted
