"""CVAT for images."""

from xml.etree import ElementTree as ET

import numpy as np
import pytest


def unrolled(mask, size):
    """Run lengths along the rows of the box, pixels outside first."""
    left, top, width, height = (int(mask.get(key)) for key in ("left", "top", "width", "height"))
    counts = [int(count) for count in mask.get("rle").split(",")]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    whole = np.zeros(size, bool)
    whole[top : top + height, left : left + width] = flat.reshape(height, width)
    return whole


@pytest.mark.parametrize("splits", [(), ("train", "val", "test")])
def test_label_maps_come_back(drawn, tmp_path, splits):
    export = drawn.make_export(tmp_path, "cvat", splits=splits)
    ids = {name: class_id for class_id, name in drawn.NAMES.items()}
    seen = []
    for split in splits or ("annotations",):
        root = ET.parse(export.root / f"{split}.xml").getroot()
        labels = root.findall("meta/task/labels/label")
        assert [label.findtext("name") for label in labels] == list(drawn.NAMES.values())
        for number, image in enumerate(root.findall("image")):
            assert image.get("id") == str(number)
            assert image.get("subset") == (split if splits else None)
            size = (int(image.get("height")), int(image.get("width")))
            masks = [(ids[each.get("label")], unrolled(each, size)) for each in image]
            name = image.get("name")
            assert (export.root / "images" / name).is_file()
            np.testing.assert_array_equal(drawn.painted(size, masks), export.labels(name))
            seen.append(name)
    assert sorted(seen) == [image.name for image in export.images]
