"""LabelMe."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw


@pytest.mark.parametrize("splits", [(), ("train", "val")])
def test_label_maps_come_back(drawn, tmp_path, splits):
    """Shapes are painted as LabelMe does it, with Pillow and the outline."""
    export = drawn.make_export(tmp_path, "labelme", splits=splits)
    ids = {name: class_id for class_id, name in drawn.NAMES.items()}
    assert (export.root / "labels.txt").read_text("utf-8").splitlines() == list(ids)
    for image in export.images:
        folder = export.root / image.split if splits else export.root
        file = folder / f"{image.stem}.json"
        data = json.loads(file.read_bytes())
        assert (file.parent / data["imagePath"]).is_file()
        assert (data["imageHeight"], data["imageWidth"]) == image.size
        masks = []
        for shape in data["shapes"]:
            assert shape["shape_type"] == "polygon"
            picture = Image.new("L", image.size[::-1])
            points = [tuple(point) for point in shape["points"]]
            ImageDraw.Draw(picture).polygon(points, fill=1, outline=1)
            masks.append((ids[shape["label"]], np.asarray(picture)))
        np.testing.assert_array_equal(drawn.painted(image.size, masks), export.labels(image.name))


def test_image_data_is_null(drawn, tmp_path):
    """labelme#423: it must be there, and empty."""
    export = drawn.make_export(tmp_path, "labelme")
    for file in export.root.rglob("*.json"):
        data = json.loads(file.read_bytes())
        assert "imageData" in data
        assert data["imageData"] is None
