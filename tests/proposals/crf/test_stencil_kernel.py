import numpy as np
import pytest

from primaps.proposals.crf import stencil_kernel
from primaps.proposals.crf.filter_kernel import build_filter
from primaps.proposals.crf.stencil_kernel import build_stencil, has_stencil, pixel_positions


def applied(stencil, values, unary):
    """Apply the stencil to (P, L) values between margins of arbitrary numbers."""
    points, width = values.shape
    margin = np.full((stencil.halo, width), 7, np.float32)
    rows = np.concatenate([margin, values, margin]).reshape(-1)
    base = np.concatenate([margin, unary, margin]).reshape(-1)
    output = np.full_like(rows, np.nan)
    start = stencil.halo * width
    stencil.apply(output, base, rows, start, (0,) * width)
    assert np.isnan(output[:start]).all()
    assert np.isnan(output[start + points * width :]).all()
    return output[start : start + points * width].reshape(points, width)


def by_lattice(height, columns, scale, values):
    kernel, output = (
        build_filter(pixel_positions(height, columns), scale),
        np.zeros(values.size, np.float32),
    )
    lattice = np.empty(kernel.vertices.count * values.shape[1], np.float32)
    kernel.add(output, values.reshape(-1), 0, lattice, (0,) * values.shape[1])
    return output.reshape(values.shape)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("columns", [1, 2, 9, 40])
@pytest.mark.parametrize("height", [4, 5, 7, 23, 25, 26, 31, 64])
def test_equals_the_lattice(height, columns, width):
    random = np.random.default_rng(height * columns)
    values, unary = random.random((2, height * columns, width), dtype=np.float32)
    expected = unary + by_lattice(height, columns, 3.0, values)
    actual = applied(build_stencil(height, columns, 3.0), values, unary)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.slow
def test_equals_the_lattice_on_a_large_image():
    values = np.random.default_rng(0).random((1100 * 1300, 4), dtype=np.float32)
    expected = by_lattice(1100, 1300, 3.0, values)
    actual = applied(build_stencil(1100, 1300, 3.0), values, np.zeros_like(values))
    # Coordinates of a thousand pixels leave less of float32 for the barycentric weights.
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


def test_most_neighbours_beyond_the_reach_do_not_count():
    taps = build_stencil(40, 40, 1.0).taps.reshape(-1, 7, 7)
    assert (np.abs(taps).max(0) > 1e-6).sum() == 41
    assert (np.abs(taps[:, [0, 0, 6, 6, 1, 5], [0, 6, 0, 6, 0, 6]]) < 1e-6).all()


def test_weights_are_kept_for_images_of_one_width():
    stencil_kernel._compose.cache_clear()
    first, second = build_stencil(100, 30, 3.0), build_stencil(200, 30, 3.0)
    assert first.taps is second.taps
    assert build_stencil(100, 31, 3.0).taps is not first.taps
    assert (
        stencil_kernel._compose.cache_info().hits,
        stencil_kernel._compose.cache_info().misses,
    ) == (1, 2)


def test_only_the_usual_kernel_has_a_stencil():
    assert has_stencil(4, 1.0)
    assert not has_stencil(3, 1.0)
    assert not has_stencil(100, 1.5)
