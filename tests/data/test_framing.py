import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from primaps.data.framing import crop_image, crop_labels, crop_values, resized
from primaps.errors import ConfigError

SIZES = [(60, 80), (80, 60), (77, 131), (64, 64), (20, 20), (33, 64), (101, 64), (40, 333)]
SIDES = [64, 56]


def noise(height, width):
    return np.random.default_rng(height * width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def numbered(height, width):
    return np.random.default_rng(height + width).integers(0, 256, (height, width)).astype(np.int64)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_pillow_is_resize_and_centre_crop_of_torchvision_on_pictures(size, side):
    picture = Image.fromarray(noise(*size))
    expected = functional.center_crop(
        functional.resize(picture, side, InterpolationMode.BILINEAR), side
    )
    assert np.array_equal(crop_image(noise(*size), side), np.asarray(expected))
    assert torch.equal(crop_values(noise(*size), "pillow", side), functional.to_tensor(expected))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_tensor_is_resize_without_antialiasing_and_centre_crop_of_torchvision_on_tensors(
    size, side
):
    values = functional.to_tensor(Image.fromarray(noise(*size)))
    resized_values = functional.resize(values, side, InterpolationMode.BILINEAR, antialias=False)
    expected = functional.center_crop(resized_values, side)
    assert torch.equal(crop_values(noise(*size), "tensor", side), expected)
    if min(size) > 2 * side:
        assert not torch.allclose(expected, crop_values(noise(*size), "pillow", side), atol=0.05)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", SIZES)
def test_labels_like_torchvision_on_pictures_and_on_tensors(size, side):
    labels = numbered(*size)
    picture = Image.fromarray(labels.astype(np.uint8))
    expected = functional.center_crop(
        functional.resize(picture, side, InterpolationMode.NEAREST), side
    )
    assert np.array_equal(crop_labels(labels, "pillow", side), np.asarray(expected))
    tensor = functional.resize(torch.from_numpy(labels)[None], side, InterpolationMode.NEAREST)
    assert np.array_equal(
        crop_labels(labels, "tensor", side), functional.center_crop(tensor, side)[0].numpy()
    )


def test_the_two_kinds_of_labels_start_at_other_pixels():
    ids = np.broadcast_to(np.arange(1024) % 256, (1024, 1024)).astype(np.int64)
    assert crop_labels(ids, "tensor", 320)[0, :5].tolist() == [0, 3, 6, 9, 12]
    assert crop_labels(ids, "pillow", 320)[0, :5].tolist() == [1, 4, 8, 11, 14]


def test_the_official_sizes():
    assert resized(1024, 2048, 320) == (320, 640)
    assert resized(640, 427, 320) == (int(320 * 640 / 427), 320)
    assert resized(200, 200, 322) == (322, 322)
    assert resized(7, 7, 7) == (7, 7)


def test_offsets_are_rounded_half_to_even():
    # 5 columns too many: 2.5 becomes 2
    strip = np.broadcast_to(np.arange(11), (6, 11)).astype(np.int64)
    assert crop_labels(strip, "pillow", 6)[0].tolist() == [2, 3, 4, 5, 6, 7]
    strip = np.broadcast_to(np.arange(9), (6, 9)).astype(np.int64)  # 3 too many: 1.5 becomes 2
    assert crop_labels(strip, "tensor", 6)[0].tolist() == [2, 3, 4, 5, 6, 7]


def test_ignored_pixels_stay_ignored():
    labels = np.full((30, 50), 255, dtype=np.int64)
    for interpolation in ("pillow", "tensor"):
        cropped = crop_labels(labels, interpolation, 20)
        assert cropped.dtype == np.int64
        assert (cropped == 255).all()


def test_impossible_sizes():
    with pytest.raises(ConfigError, match="side of 0"):
        resized(5, 5, 0)
