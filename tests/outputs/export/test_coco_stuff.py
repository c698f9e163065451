"""COCO-Stuff."""

import json

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask


def test_label_maps_come_back_from_list_and_pixel_maps(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco-stuff")
    data = json.loads((export.root / "annotations" / "stuff.json").read_bytes())
    assert {each["id"] - 1: each["name"] for each in data["categories"]} == drawn.NAMES
    for image, own in zip(data["images"], export.images, strict=True):
        annotations = [each for each in data["annotations"] if each["image_id"] == image["id"]]
        categories = [each["category_id"] for each in annotations]
        assert len(set(categories)) == len(categories)
        found = [
            (each["category_id"] - 1, coco_mask.decode(each["segmentation"]))
            for each in annotations
        ]
        expected = export.labels(image["file_name"])
        np.testing.assert_array_equal(drawn.painted(expected.shape, found), expected)
        with Image.open(export.root / "pixelmaps" / f"{own.stem}.png") as picture:
            pixels = np.asarray(picture)
        np.testing.assert_array_equal(pixels, np.where(expected == 255, 0, expected + 1))
