"""FiftyOne."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("splits", [(), ("train", "val")])
def test_label_maps_come_back_and_stems_are_equal(drawn, tmp_path, splits):
    """Photographs that differ in their extensions alone have masks of their own."""
    export = drawn.make_export(tmp_path, "fiftyone", splits=splits)
    targets = json.loads((export.root / "mask_targets.json").read_bytes())
    assert list(targets.values()) == list(drawn.NAMES.values())
    table = np.full(256, 255)
    for (class_id, _), value in zip(drawn.NAMES.items(), targets, strict=True):
        table[int(value)] = class_id
    seen = 0
    for folder in [export.root / split for split in splits] or [export.root]:
        data = [
            str(path.relative_to(folder / "data").with_suffix(""))
            for path in (folder / "data").rglob("*.*")
        ]
        labels = [
            str(path.relative_to(folder / "labels").with_suffix(""))
            for path in (folder / "labels").rglob("*.*")
        ]
        assert sorted(data) == sorted(labels)
        assert len(set(data)) == len(data)
        seen += len(data)
    assert seen == len(export.images)
    for image in export.images:
        folder = export.root / image.split if splits else export.root
        with Image.open(folder / "labels" / f"{image.stem}.png") as picture:
            assert picture.mode == "L"  # the colours of an indexed one would be read
            labels = table[np.asarray(picture)]
        np.testing.assert_array_equal(labels, export.labels(image.name))
