from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from primaps.errors import ConfigError, ImageError
from primaps.features.preprocess import image_to_input, input_size

ZERO, ONE = torch.zeros(3), torch.ones(3)
CPU = torch.device("cpu")
side = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("height", "width", "size", "patch", "expected"),
    [
        (320, 320, 320, 8, (320, 320)),
        (320, 320, 320, 14, (322, 322)),
        (320, 320, 322, 14, (322, 322)),
        (1024, 2048, 320, 8, (320, 640)),
        (480, 360, 320, 8, (424, 320)),
        (10, 20, 320, 8, (320, 640)),
        (1, 10_000, 320, 8, (320, 2560)),
        (10_000, 1, 320, 16, (2560, 320)),
        (5, 5, 3, 8, (8, 8)),
        (100, 100, 12, 8, (16, 16)),
    ],
)
def test_input_size_examples(height, width, size, patch, expected):
    assert input_size(height, width, size, patch) == expected


@given(height=side, width=side, size=st.integers(1, 4096), patch=st.integers(1, 32))
def test_input_size_is_the_nearest_multiple_of_the_exact_size(height, width, size, patch):
    short = min(height, width)
    for given_side, result in zip(
        (height, width), input_size(height, width, size, patch), strict=True
    ):
        exact = min(Fraction(given_side * size, short), Fraction(8 * size))
        assert result % patch == 0
        assert result >= patch
        assert result == patch or abs(result - exact) <= Fraction(patch, 2)


@given(height=side, width=side, size=st.integers(1, 4096))
def test_input_size_of_the_rotated_image_is_rotated(height, width, size):
    assert input_size(width, height, size, 14) == input_size(height, width, size, 14)[::-1]


@pytest.mark.parametrize("bad", [{"height": 0}, {"width": 0}, {"size": 0}, {"multiple": -1}])
def test_input_size_refuses_empty_sizes(bad):
    values = {"height": 4, "width": 4, "size": 4, "multiple": 4, **bad}
    with pytest.raises(ConfigError, match=f"Expected {next(iter(bad))} to be 1 or more"):
        input_size(**values)


def test_resize_is_that_of_pillow():
    image = np.random.default_rng(0).integers(0, 256, (90, 131, 3), dtype=np.uint8)
    result = image_to_input(image, (40, 56), ZERO, ONE, CPU)
    expected = np.asarray(Image.fromarray(image).resize((56, 40), Image.Resampling.BILINEAR))
    assert result.shape == (1, 3, 40, 56)
    assert result.dtype == torch.float32
    assert torch.equal(
        (result[0].permute(1, 2, 0) * 255).round().byte(), torch.from_numpy(expected.copy())
    )


def test_normalisation_and_untouched_size():
    image = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.25, 2.0])
    result = image_to_input(image, (16, 24), mean, std, CPU)
    expected = (image / 255.0 - mean.numpy()) / std.numpy()
    np.testing.assert_allclose(result[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)
    assert result.is_contiguous()


def test_read_only_strided_and_torch_images_are_equal():
    image = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    plain = image_to_input(image, (8, 16), ZERO, ONE, CPU)
    bgr = image[..., ::-1].copy()
    read_only = image.copy()
    read_only.flags.writeable = False
    for other in (bgr[..., ::-1], read_only, torch.from_numpy(image)):
        assert torch.equal(image_to_input(other, (8, 16), ZERO, ONE, CPU), plain)


def test_what_is_no_image_is_refused():
    with pytest.raises(ImageError, match="Expected an image"):
        image_to_input([[1, 2, 3]], (8, 16), ZERO, ONE, CPU)
