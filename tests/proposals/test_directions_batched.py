import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.proposals.leading_batch import leading_eigenvectors


def matrix_of(values, seed):
    """A matrix with these eigenvalues, and the vector of the first."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(
        torch.randn(len(values), len(values), dtype=torch.float64, generator=generator)
    ).Q
    return vectors @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ vectors.T, vectors[
        :, 0
    ]


@given(
    seed=st.integers(0, 1000),
    size=st.integers(2, 30),
    gap=st.floats(3e-3, 1.0),
    scale=st.floats(1e-8, 1e8),
)
@settings(max_examples=40, deadline=None)
def test_vectors_are_those_of_the_largest_eigenvalue(seed, size, gap, scale):
    others = torch.rand(size - 1, generator=torch.Generator().manual_seed(seed)).double() * (
        1 - gap
    )
    matrix, expected = matrix_of([scale, *(others * scale).tolist()], seed)
    vectors, certain = leading_eigenvectors(torch.stack([matrix, matrix.flip(0, 1)]))
    assert certain.all()
    for found, exact in zip(vectors, (expected, expected.flip(0)), strict=True):
        assert (found - exact * torch.sign(exact @ found)).norm() < 2e-9


@pytest.mark.parametrize(
    "values", [[1.0, 1.0, 0.5], [1.0, 1.0 - 1e-7, 0.1], [0.0, 0.0, 0.0], [1.0] * 8]
)
def test_a_multiple_eigenvalue_is_not_certain(values):
    vectors, certain = leading_eigenvectors(matrix_of(values, 3)[0][None])
    assert not certain.any()
    assert vectors.isfinite().all()


@given(seed=st.integers(0, 1000), gap=st.floats(1e-9, 1e-2))
@settings(max_examples=40, deadline=None)
def test_what_is_certain_is_exact_however_small_the_gap(seed, gap):
    matrix, expected = matrix_of([1.0, 1.0 - gap, 0.3, 0.1], seed)
    vectors, certain = leading_eigenvectors(matrix[None])
    if certain[0]:
        assert 1.0 - (vectors[0] @ expected).abs() < 1e-14
    else:
        assert gap < 2e-3


def test_one_channel():
    vectors, certain = leading_eigenvectors(torch.full((2, 1, 1), 7.0, dtype=torch.float64))
    assert certain.all()
    assert torch.equal(vectors.abs(), torch.ones(2, 1, dtype=torch.float64))
