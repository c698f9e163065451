"""Datumaro."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask


@pytest.mark.parametrize("splits", [(), ("train", "val", "test")])
def test_label_maps_come_back(drawn, tmp_path, splits):
    export = drawn.make_export(tmp_path, "datumaro", splits=splits)
    ids = {name: class_id for class_id, name in drawn.NAMES.items()}
    seen = []
    for split in splits or ("default",):
        data = json.loads((export.root / f"annotations/{split}.json").read_bytes())
        names = [label["name"] for label in data["categories"]["label"]["labels"]]
        assert names == list(drawn.NAMES.values())
        for item in data["items"]:
            name = item["image"]["path"]
            assert (export.root / "images" / split / name).is_file()
            masks = [
                (ids[names[each["label_id"]]], coco_mask.decode(each["rle"]))
                for each in item["annotations"]
            ]
            labels = drawn.painted(item["image"]["size"], masks)
            np.testing.assert_array_equal(labels, export.labels(name))
            seen.append((name, item["id"]))
    assert sorted(seen) == [(image.name, image.stem) for image in export.images]
