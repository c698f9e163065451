"""Masks that other programs wrote, read back: the same label maps, pixel by pixel.

As for the readers of exports: ``make readers``. A test whose program is not installed is skipped.
"""

import numpy as np
import pytest

from primaps.outputs.reading.finding import find_mended
from primaps.outputs.reading.photographs import PhotographNames

pytestmark = pytest.mark.filterwarnings("default")  # those of the programs are not ours


@pytest.mark.parametrize(
    ("kind", "form", "options"),
    [
        ("cvat", "cvat", {}),
        ("coco_instances", "coco", {}),
        ("voc_segmentation", "png", {}),
        ("voc_segmentation", "png", {"apply_colormap": False}),
    ],
)
def test_datumaro(drawn, tmp_path, kind, form, options):
    datumaro = pytest.importorskip("datumaro")
    export = drawn.make_export(tmp_path, "voc")
    dataset = datumaro.Dataset.import_from(str(export.root), "voc_segmentation")
    dataset.export(str(tmp_path / "mended"), kind, **options)
    masks = find_mended(tmp_path / "mended", None)
    assert masks.form == form
    names = PhotographNames({image.name: image.stem for image in export.images})
    ids = {name: number for number, name in drawn.NAMES.items()}
    found = {}
    for image in masks.images():
        painted = image.paint()
        labels = np.full(painted.shape, 255)
        for index, name in enumerate(image.names):
            labels[painted == index] = ids.get(name, 255)
        found[names.find(image.name, is_stem=image.is_stem)] = labels
    assert found.keys() == {image.name for image in export.images}
    for name, labels in found.items():
        np.testing.assert_array_equal(labels, export.labels(name), err_msg=name)


def test_label_studio_by_its_encoder(drawn, tmp_path):
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    from primaps.outputs.export.rle import mask_of_brush

    for labels in drawn.label_maps().values():
        for class_id in np.unique(labels).tolist():
            mask = labels == class_id
            pixels = np.repeat(mask[..., None] * np.uint8(255), 4, axis=2)
            packed = brush.encode_rle(pixels.ravel())
            np.testing.assert_array_equal(mask_of_brush(packed, mask.shape), mask)
