import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.errors import ConfigError
from primaps.proposals.crf.lattice_kernel import build_vertices
from primaps.proposals.crf.permutohedral import build_lattice


def random_features(points, dim, spread, seed=0):
    return torch.randn(points, dim, generator=torch.Generator().manual_seed(seed)) * spread


def assert_same_lattice(features):
    """The compiled lattice equals the plain one up to the numbers of the vertices."""
    found, plain = build_vertices(features), build_lattice(features[None])
    size = features.shape[1] + 1
    assert len(found.around) == size
    assert found.count == plain.num_vertices
    gain = 1 / (1 + 2.0 ** (1 - size))
    np.testing.assert_allclose(
        found.weights * gain, plain.slice.weights.numpy(), rtol=1e-6, atol=1e-7
    )
    number = np.full(found.count, -1)
    number[found.corners] = plain.slice.columns.numpy()
    assert np.array_equal(number[found.corners], plain.slice.columns.numpy())
    assert np.array_equal(np.sort(number), np.arange(found.count))
    for axis, blur in enumerate(plain.blur):
        assert neighbours(found, axis, number) == plain_neighbours(blur)


def neighbours(found, axis, number):
    """Pairs of neighbours along an axis, in the numbers of the plain lattice."""
    pairs, previous = set(), None
    for code in found.chains[found.chain_starts[axis] : found.chain_starts[axis + 1]]:
        vertex = int(code) if code >= 0 else ~int(code)
        if code >= 0:
            pairs |= {(number[previous], number[vertex]), (number[vertex], number[previous])}
        previous = vertex
    return pairs


def plain_neighbours(blur):
    ends = np.append(blur.starts.numpy()[1:], len(blur.columns))
    rows = np.repeat(np.arange(len(blur.starts)), ends - blur.starts.numpy())
    return {
        (row, column)
        for row, column in zip(rows, blur.columns.numpy(), strict=True)
        if row != column
    }


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5, 3.0])
def test_equals_the_plain_lattice(dim, spread):
    assert_same_lattice(random_features(200, dim, spread))


@settings(max_examples=30, deadline=None)
@given(
    points=st.integers(1, 150),
    dim=st.integers(1, 5),
    spread=st.sampled_from([0.3, 2.0, 50.0]),
    seed=st.integers(0, 10_000),
)
def test_equals_the_plain_lattice_on_any_points(points, dim, spread, seed):
    assert_same_lattice(random_features(points, dim, spread, seed))


def test_ties_are_broken_alike():
    y, x = np.mgrid[:20, :30].astype(np.float32)
    assert_same_lattice(torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1)))
    assert_same_lattice(torch.from_numpy(np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1)))


def test_room_grows_where_points_share_no_vertices():
    found = build_vertices(random_features(1000, 5, 100.0))
    assert found.count == 6000
    # Along each axis two vertices of a simplex are neighbours.
    assert len(found.chains) == 1000 * 6 * 2


def test_neighbouring_points_have_neighbouring_numbers():
    found = build_vertices(random_features(50, 5, 100.0))
    assert np.array_equal(found.corners, np.arange(300))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.tensor([[0.0, 0.0], [1e9, 0.0]]), "Expected lattice coordinates below"),
        (torch.tensor([[float("nan"), 0.0]]), "Choose larger standard deviations"),
        (torch.eye(5) * 1e5, r"fewer than 2\*\*63 lattice cells"),
    ],
)
def test_features_too_far_apart_are_refused(features, message):
    with pytest.raises(ConfigError, match=message):
        build_vertices(features)
