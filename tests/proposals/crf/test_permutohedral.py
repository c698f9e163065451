import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from primaps.errors import ConfigError
from primaps.proposals.crf.permutohedral import SparseRows, build_lattice


def random_features(points: int, dim: int, spread: float = 2.0, seed: int = 0) -> torch.Tensor:
    return torch.randn(points, dim, generator=torch.Generator().manual_seed(seed)) * spread


def plain_filter(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Splat, blur and slice with a dictionary, point by point, in float64 (Adams, Baek & Davis
    2010, section 3).
    """
    dim = features.shape[1]
    size = dim + 1
    simplices = plain_simplices(features)
    lattice: dict[tuple[int, ...], np.ndarray] = defaultdict(lambda: np.zeros(values.shape[1]))
    for corners, value in zip(simplices, values, strict=True):
        for vertex, weight in corners:
            lattice[vertex] = lattice[vertex] + weight * value
    for axis in range(size):
        step = np.ones(size, int)
        step[axis] = -dim
        missing = np.zeros(values.shape[1])
        lattice = {
            vertex: value
            + (
                lattice.get(tuple(np.add(vertex, step)), missing)
                + lattice.get(tuple(np.subtract(vertex, step)), missing)
            )
            / 2
            for vertex, value in lattice.items()
        }
    gain = 1 / (1 + 2.0**-dim)
    return np.stack(
        [
            gain * sum(weight * lattice[vertex] for vertex, weight in corners)
            for corners in simplices
        ]
    )


def plain_simplices(features: np.ndarray) -> list[list[tuple[tuple[int, ...], float]]]:
    """Corners of the simplex around each point, and their barycentric weights."""
    dim = features.shape[1]
    size = dim + 1
    basis = np.zeros((size, dim))
    for axis in range(dim):
        basis[: axis + 1, axis] = 1.0
        basis[axis + 1, axis] = -(axis + 1.0)
        basis[:, axis] *= math.sqrt(2.0 / 3.0) * size / math.sqrt((axis + 1) * (axis + 2))
    simplices = []
    for point in features @ basis.T:
        # The enclosing simplex is the one with non-negative barycentric weights: walk from the
        # nearest remainder-0 point.
        corner = np.round(point / size) * size
        excess = int(corner.sum()) // size
        order = np.argsort(-(point - corner), kind="stable")
        if excess > 0:
            corner[order[size - excess :]] -= size
        elif excess < 0:
            corner[order[:-excess]] += size
        order = np.argsort(-(point - corner), kind="stable")
        sorted_residual = (point - corner)[order] / size
        corners = []
        for remainder in range(size):
            vertex = corner + remainder
            vertex[order[size - remainder :]] -= size
            upper = sorted_residual[dim - remainder]
            weight = (
                upper + 1 - sorted_residual[0]
                if remainder == 0
                else upper - sorted_residual[size - remainder]
            )
            assert weight > -1e-9
            corners.append((tuple(int(x) for x in vertex), weight))
        simplices.append(corners)
    return simplices


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_equals_plain_dictionary_filter(dim):
    features = random_features(150, dim)
    values = torch.rand(150, 3, generator=torch.Generator().manual_seed(1))
    expected = plain_filter(features.double().numpy(), values.double().numpy())
    actual = build_lattice(features[None]).filter(values)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    points=st.integers(1, 40),
    dim=st.integers(1, 5),
    spread=st.sampled_from([0.0, 0.3, 2.0, 50.0]),
    seed=st.integers(0, 10_000),
)
def test_equals_plain_dictionary_filter_on_any_spread(points, dim, spread, seed):
    features = random_features(points, dim, spread, seed)
    # Where a weight is nearly 0, rounding decides whether its vertex exists to blur through.
    simplices = plain_simplices(features.double().numpy())
    assume(spread == 0 or all(weight > 1e-4 for each in simplices for _, weight in each))
    values = torch.rand(points, 2, generator=torch.Generator().manual_seed(seed))
    expected = plain_filter(features.double().numpy(), values.double().numpy())
    actual = build_lattice(features[None]).filter(values)
    # Barycentric weights are differences of float32 coordinates, whose rounding error grows with
    # the spread.
    np.testing.assert_allclose(actual.numpy(), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("dim", [2, 5])
def test_approximates_dense_gaussian(dim):
    # The lattice is an approximation: in five dimensions weighted means are off by 0.02 on average,
    # in two by less.
    features = random_features(600, dim, spread=1.0)
    values = (features[:, :1] > 0).float()
    kernel = torch.exp(-torch.cdist(features, features).square() / 2)
    exact = kernel @ values / kernel.sum(1, keepdim=True)
    lattice = build_lattice(features[None])
    approximate = lattice.filter(values) / lattice.filter(torch.ones_like(values))
    assert (exact - approximate).abs().mean() < 0.03
    assert (exact - approximate).abs().max() < 0.2


def test_barycentric_weights_are_a_partition_of_unity():
    lattice = build_lattice(random_features(500, 5, spread=20.0)[None])
    assert lattice.splat.weights.min() > -1e-5
    ones = torch.ones(lattice.num_vertices, 1)
    gain = 1 / (1 + 2.0**-5)
    torch.testing.assert_close(lattice.slice @ ones, torch.full((500, 1), gain), rtol=0, atol=1e-5)
    mass = (lattice.splat @ torch.ones(500, 1)).sum()
    torch.testing.assert_close(mass, torch.tensor(500.0), rtol=1e-5, atol=0)


def test_splat_and_slice_are_transposes():
    lattice = build_lattice(random_features(60, 3)[None])
    splat = lattice.splat @ torch.eye(60)
    slice_ = lattice.slice @ torch.eye(lattice.num_vertices)
    torch.testing.assert_close(splat.t(), slice_ * (1 + 2.0**-3), rtol=1e-6, atol=1e-7)


def test_blur_is_symmetric_and_only_links_neighbours():
    lattice = build_lattice(random_features(60, 3)[None])
    for axis in lattice.blur:
        matrix = axis @ torch.eye(lattice.num_vertices)
        assert torch.equal(matrix, matrix.t())
        assert torch.equal(matrix.diag(), torch.ones(lattice.num_vertices))
        assert set(matrix.unique().tolist()) <= {0.0, 0.5, 1.0}
        assert ((matrix == 0.5).sum(1) <= 2).all()
    assert any(bool((axis @ torch.eye(lattice.num_vertices) == 0.5).any()) for axis in lattice.blur)


def test_far_points_only_see_themselves():
    features = torch.tensor([[[0.0, 0.0], [500.0, 0.0]]])
    filtered = build_lattice(features).filter(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert filtered[0, 1] == 0
    assert filtered[1, 0] == 0
    assert filtered[0, 0] > 0.2


def test_groups_equal_separate_lattices_bit_for_bit():
    features = torch.stack(
        [random_features(80, 5, spread, seed) for spread, seed in [(1.0, 0), (4.0, 1), (1.0, 0)]]
    )
    values = torch.rand(3, 80, 4, generator=torch.Generator().manual_seed(1))
    together = build_lattice(features).filter(values.flatten(0, 1)).view(3, 80, 4)
    for group in range(3):
        assert torch.equal(
            together[group], build_lattice(features[group : group + 1]).filter(values[group])
        )


def test_normalized_is_symmetric_scaling():
    features = random_features(200, 2)[None]
    lattice = build_lattice(features)
    values = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    norm = 1 / (lattice.filter(torch.ones(200, 1)) + 1e-20).sqrt()
    torch.testing.assert_close(
        lattice.normalized(3.0).filter(values), 3 * norm * lattice.filter(norm * values)
    )


def test_sparse_rows_multiply_like_the_dense_matrix():
    rows = SparseRows(
        torch.tensor([2, 0, 1, 1]), torch.tensor([0, 2, 2]), torch.tensor([1.0, -2.0, 0.5, 3.0])
    )
    dense = torch.tensor([[-2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 3.5, 0.0]])
    values = torch.arange(6.0).view(3, 2)
    torch.testing.assert_close(rows @ values, dense @ values)


def test_repeated_builds_and_filters_are_bit_equal():
    features = random_features(5000, 5)[None]
    values = torch.rand(5000, 8, generator=torch.Generator().manual_seed(1))
    first, second = (build_lattice(features).normalized().filter(values) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(("points", "dim"), [(1, 1), (1, 5), (2, 1), (2, 5)])
def test_identical_points_share_one_simplex(points, dim):
    features = torch.full((1, points, dim), 0.3)
    lattice = build_lattice(features)
    assert lattice.num_points == points
    assert lattice.num_vertices == dim + 1
    filtered = lattice.filter(torch.ones(points, 1))
    torch.testing.assert_close(filtered, filtered[:1].expand_as(filtered))


@pytest.mark.parametrize("spread", [1e9, math.inf, math.nan])
def test_features_out_of_range_are_refused(spread):
    with pytest.raises(ConfigError, match="Expected lattice coordinates below"):
        build_lattice(torch.tensor([[[0.0, 0.0], [spread, 1.0]]]))


def test_too_many_cells_are_refused():
    features = torch.zeros(1, 2, 5)
    features[0, 1] = 50_000.0 * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])
    with pytest.raises(ConfigError, match=r"fewer than 2\*\*63 lattice cells"):
        build_lattice(features)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("dim", [2, 5])
def test_repeated_lattice_is_that_of_equal_groups(count, dim):
    features = random_features(50, dim, spread=3.0)
    found = build_lattice(features[None]).normalized(0.7).repeated(count)
    expected = build_lattice(features.expand(count, -1, -1)).normalized(0.7)
    pairs = zip(
        (found.splat, *found.blur, found.slice),
        (expected.splat, *expected.blur, expected.slice),
        strict=True,
    )
    for rows, same in pairs:
        assert torch.equal(rows.columns, same.columns)
        assert torch.equal(rows.starts, same.starts)
        assert torch.equal(rows.weights, same.weights)


@pytest.mark.parametrize(("columns", "dtype"), [(9, torch.int32), (2**30, torch.int64)])
def test_copies_of_rows_are_made_on_the_device(columns, dtype):
    """On a device that is only pretended: operands on two devices, or a look at a value, are errors
    there.
    """
    with FakeTensorMode():
        entries, starts = (torch.empty(size, dtype=torch.int32, device="cuda") for size in (12, 4))
        found = SparseRows(entries, starts, torch.empty(12, device="cuda")).repeated(3, columns)
    assert {tensor.device.type for tensor in vars(found).values()} == {"cuda"}
    assert [tensor.shape for tensor in vars(found).values()] == [(36,), (12,), (36,)]
    assert found.columns.dtype == found.starts.dtype == dtype
