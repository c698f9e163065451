"""Which form mended masks have."""

import json

import numpy as np
import pytest

from primaps.errors import ConfigError
from primaps.outputs.reading.finding import FORMS, find_mended


@pytest.mark.parametrize("split", [(), ("train", "val")])
@pytest.mark.parametrize("format_name", FORMS)
def test_every_export_comes_back_pixel_by_pixel(drawn, tmp_path, format_name, split):
    export = drawn.make_export(tmp_path, format_name, splits=split)
    for known in (None, format_name):
        masks = find_mended(export.root, known)
        assert masks.form == FORMS[format_name]
        found = {}
        ids = {name: number for number, name in drawn.NAMES.items()}
        for image in masks.images():
            painted = image.paint()
            assert not image.passed_over
            labels = np.full((1, 1), 255) if painted is None else np.full(painted.shape, 255)
            for index, name in enumerate(image.names):
                if painted is not None:
                    labels[painted == index] = ids.get(name, 255)
            found[image.name] = labels
        for image in export.images:
            name = image.stem if FORMS[format_name] == "png" else image.name
            np.testing.assert_array_equal(
                np.broadcast_to(found.pop(name), image.size), export.labels(image.name)
            )
        assert not found


def test_polygons_of_coco_come_back(drawn, tmp_path):
    export = drawn.make_export(tmp_path, "coco", polygons=True)
    images = {image.name: image for image in find_mended(export.root, None).images()}
    for image in export.images:
        painted = images[image.name].paint()
        if painted is not None:
            covered = export.labels(image.name) != 255
            np.testing.assert_array_equal(painted >= 0, covered)


def test_folders_of_several_forms_or_none(drawn, tmp_path):
    with pytest.raises(ConfigError, match="got none"):
        find_mended(tmp_path, None)
    (tmp_path / "notes.json").write_text("[1, 2]")
    (tmp_path / "notes.xml").write_text("<html/>")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ConfigError, match="got none"):
        find_mended(tmp_path, None)
    empty = {"images": [], "annotations": [], "categories": []}
    (tmp_path / "a.json").write_text(json.dumps(empty))
    (tmp_path / "a.xml").write_text("<annotations/>")
    with pytest.raises(ConfigError, match="coco and cvat"):
        find_mended(tmp_path, None)
    assert find_mended(tmp_path, "cvat").form == "cvat"
    assert find_mended(tmp_path / "a.json", None).form == "coco"
    with pytest.raises(ConfigError, match="in the format hf"):
        find_mended(tmp_path, "hf")
