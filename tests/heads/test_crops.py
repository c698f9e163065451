import numpy as np
import pytest
from torchvision.transforms import functional

from primaps.heads import crops
from primaps.heads.crops import Box, CropConfig, crop_boxes, cut


def test_five_crops_are_those_of_torchvision():
    from PIL import Image

    image = np.arange(45 * 62 * 3, dtype=np.uint32).reshape(45, 62, 3).astype(np.uint8)
    expected = functional.five_crop(Image.fromarray(image), [22, 31])
    boxes = crop_boxes(45, 62, CropConfig())
    for box, crop in zip(boxes, expected, strict=True):
        found = image[box.top : box.top + box.height, box.left : box.left + box.width]
        assert np.array_equal(found, np.asarray(crop))


@pytest.mark.parametrize("size", [(40, 30), (30, 40), (13, 50), (24, 24)])
@pytest.mark.parametrize("resample", ["nearest", "bilinear"])
def test_resized_and_centred_as_torchvision_does(size, resample):
    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    box = Box(5, 8, *size)
    part = Image.fromarray(image[5 : 5 + size[0], 8 : 8 + size[1]])
    resized = functional.resize(part, 16, functional.InterpolationMode(resample))
    expected = np.asarray(functional.center_crop(resized, [16, 16]))
    assert np.array_equal(cut(image, box, 16, resample), expected)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3)])
def test_tiny_photographs_still_give_crops(size):
    image = np.zeros((*size, 3), np.uint8)
    boxes = crop_boxes(*size, CropConfig())
    assert len(boxes) == 5
    assert all(cut(image, box, 8, "nearest").shape == (8, 8, 3) for box in boxes)


@pytest.mark.parametrize("size", [(10, 95), (130, 16)])
@pytest.mark.parametrize("resample", ["nearest", "bilinear"])
def test_strips_are_cut_as_any_photograph(size, resample, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = cut(image, Box(0, 0, *size), 16, resample)
    monkeypatch.setattr(crops, "MAX_ASPECT", 1000)
    expected = cut(image, Box(0, 0, *size), 16, resample)
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= (1 if resample == "bilinear" else 0)


def test_a_very_long_strip_takes_little_memory(monkeypatch):
    from PIL import Image

    asked, resize = [], Image.Image.resize
    monkeypatch.setattr(
        Image.Image,
        "resize",
        lambda self, size, *a, **k: asked.append(size) or resize(self, size, *a, **k),
    )
    image = np.zeros((1, 5_000, 3), np.uint8)
    for mode in ("five", "whole"):
        for box in crop_boxes(1, 5_000, CropConfig(mode=mode)):
            assert cut(image, box, 32, "nearest").shape == (32, 32, 3)
    assert set(asked) == {(32, 32)}


def test_the_whole_photograph():
    config = CropConfig(mode="whole")
    assert crop_boxes(30, 40, config) == [Box(0, 0, 30, 40)]
    assert (config.per_image, CropConfig().per_image) == (1, 5)


def test_sides_are_multiples_of_the_patch():
    assert [CropConfig(resolution=size).side(14) for size in (224, 160, 3)] == [224, 154, 14]
