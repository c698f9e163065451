import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.proposals.crf.filter_kernel import aligned, build_filter
from primaps.proposals.crf.permutohedral import build_lattice


def random_features(points, dim, spread, seed=0):
    return torch.randn(points, dim, generator=torch.Generator().manual_seed(seed)) * spread


def filtered(kernel, values, start=0):
    """Apply the filter to (P, L) values that begin at ``start``, on top of ones."""
    points, width = values.shape
    rows = np.concatenate([np.full(start, np.nan, np.float32), values.reshape(-1)])
    output = np.ones_like(rows)
    kernel.add(
        output,
        rows,
        start,
        np.full(kernel.vertices.count * width + 5, np.nan, np.float32),
        (0,) * width,
    )
    assert (output[:start] == 1).all()
    return output[start:].reshape(points, width) - 1


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_equals_the_plain_filter(dim, width):
    features, values = (
        random_features(300, dim, 2.0),
        np.random.default_rng(1).random((300, width), dtype=np.float32),
    )
    expected = (
        build_lattice(features[None]).normalized(1.7).filter(torch.from_numpy(values)).numpy()
    )
    actual = filtered(build_filter(features, 1.7), values, start=3 * width)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    points=st.integers(1, 80),
    dim=st.sampled_from([2, 5]),
    spread=st.sampled_from([0.0, 0.5, 3.0, 100.0]),
    scale=st.sampled_from([-2.0, 0.0, 3.0]),
    seed=st.integers(0, 9999),
)
def test_equals_the_plain_filter_on_any_points(points, dim, spread, scale, seed):
    features = random_features(points, dim, spread, seed)
    values = np.random.default_rng(seed).random((points, 4), dtype=np.float32)
    expected = (
        build_lattice(features[None]).normalized(scale).filter(torch.from_numpy(values)).numpy()
    )
    np.testing.assert_allclose(
        filtered(build_filter(features, scale), values), expected, rtol=1e-4, atol=1e-5
    )


def test_zeros_stay_exactly_zero():
    values = np.random.default_rng(0).random((100, 8), dtype=np.float32)
    values[:, 5:] = 0
    assert (filtered(build_filter(random_features(100, 5, 1.0), 4.0), values)[:, 5:] == 0).all()


@pytest.mark.parametrize("count", [1, 16, 1000])
def test_arrays_begin_at_a_cache_line(count):
    values = aligned(count)
    assert (values.size, values.dtype) == (count, np.float32)
    assert values.ctypes.data % 64 == 0
