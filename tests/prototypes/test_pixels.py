"""Upsampled logits against torch's own interpolation."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.prototypes import pixels as pixels_module
from primaps.prototypes.pixels import (
    bilinear_taps,
    equal_shapes,
    pixel_grid,
    sample,
    upsample,
)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@given(tokens=st.integers(1, 6), length=st.integers(1, 40))
def test_taps_give_pixel_centre_interpolation(tokens, length):
    values = random(tokens)
    lower, upper, weight = bilinear_taps(tokens, length)
    expected = F.interpolate(
        values[None, None, None], size=(1, length), mode="bilinear", align_corners=False
    )[0, 0, 0]
    torch.testing.assert_close(
        values[lower] * (1 - weight) + values[upper] * weight, expected, rtol=1e-5, atol=1e-5
    )


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 30), st.integers(1, 30), st.integers(1, 5)
)
def test_upsample_and_sample_equal_interpolate(h, w, height, width, stride):
    values = random(2, 3, h, w)
    full = F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample(values, (height, width)), full, rtol=0, atol=1e-5)
    grid = full[:, :, pixel_grid(height, stride), pixel_grid(width, stride)]
    assert grid.numel() >= 6
    torch.testing.assert_close(upsample(values, (height, width), stride), grid, rtol=0, atol=1e-5)
    pixels = torch.arange(height * width).flip(0)
    images = pixels % 2
    expected = full.flatten(2)[images, :, pixels]
    torch.testing.assert_close(
        sample(values, (height, width), images, pixels), expected, rtol=0, atol=1e-5
    )


def test_gradient_of_sample_equals_that_of_interpolate():
    generator = torch.Generator().manual_seed(0)
    images, pixels = (
        torch.randint(2, (50,), generator=generator),
        torch.randint(12 * 15, (50,), generator=generator),
    )
    cotangent = random(50, 3)
    ours, plain = random(2, 3, 4, 5).requires_grad_(), random(2, 3, 4, 5).requires_grad_()
    (sample(ours, (12, 15), images, pixels) * cotangent).sum().backward()
    full = F.interpolate(plain, size=(12, 15), mode="bilinear", align_corners=False)
    (full.flatten(2)[images, :, pixels] * cotangent).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad)


def test_groups_hold_equal_shapes_and_bounded_logits():
    tokens = [torch.zeros(3, 2, 2)] * 5 + [torch.zeros(3, 2, 4)]
    sizes = [(8, 8), (8, 8), (8, 9), (8, 8), (8, 8), (8, 8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels_module, "GROUP_ELEMENTS", 3 * 64 * 2)
        assert equal_shapes(tokens, sizes, stride=1) == [[0, 1], [3, 4], [2], [5]]
        assert equal_shapes(tokens, sizes, stride=2) == [[0, 1, 3, 4], [2], [5]]
