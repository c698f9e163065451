"""The cross-entropy of one image and its gradient against plain torch in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.prototypes.steps.cross_entropy_kernel import cross_entropy
from primaps.types import IGNORE_INDEX


def plain_cross_entropy(tokens, proposals, votes, weights, pixels=None):
    """In float64: sum and gradient."""
    values = tokens.double().requires_grad_()
    wide = F.interpolate(values[None], size=tuple(proposals.shape), mode="bilinear")[0].flatten(1)
    labels, weights = (each[proposals.long().flatten()] for each in (votes, weights.double()))
    if pixels is not None:
        wide, labels, weights = wide[:, pixels], labels[pixels], weights[pixels]
    loss = (
        weights * F.cross_entropy(wide.T, labels, ignore_index=IGNORE_INDEX, reduction="none")
    ).sum()
    loss.backward()
    return loss.item(), values.grad


@pytest.mark.parametrize("sampled", [False, True])
def test_cross_entropy_and_its_gradient_equal_float64(random, regions, shape, sampled):
    classes, grid, size = shape
    tokens, proposals = 4 * random(classes, *grid, seed=classes), regions(size, 7)
    generator = torch.Generator().manual_seed(1)
    votes = torch.randint(classes, (7,), generator=generator)
    votes[[0, 2]] = IGNORE_INDEX
    weights = torch.rand(7, generator=generator)
    pixels = torch.randint(proposals.numel(), (300,), generator=generator) if sampled else None
    loss, gradient = cross_entropy(tokens, proposals, votes, weights, pixels)
    expected, expected_gradient = plain_cross_entropy(tokens, proposals, votes, weights, pixels)
    assert loss == pytest.approx(expected, rel=2e-6, abs=1e-6)
    scale = float(expected_gradient.abs().max()) if expected else 1.0
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=2e-6 * scale)


@pytest.mark.parametrize("pixels", [None, torch.arange(0, 2240, 3)])
def test_the_bytes_are_those_of_classes_where_proposals_of_a_class_weigh_the_same(
    random, regions, pixels
):
    """Logarithms are taken of runs of pixels of one class and weight, not of one proposal."""
    tokens, proposals = random(6, 5, 7), regions((40, 56), 9)
    votes = torch.tensor([IGNORE_INDEX, 0, 1, 0, 2, IGNORE_INDEX, 1, 0, 5])
    by_class = torch.tensor([0.3, 0.7, 0.2, 0.0, 0.0, 0.9])
    loss, gradient = cross_entropy(
        tokens, proposals, votes, F.pad(by_class, (0, 250))[votes], pixels
    )
    merged = torch.where(votes == IGNORE_INDEX, 0, votes + 1)[proposals]
    votes = torch.tensor([IGNORE_INDEX, *range(6)])
    expected, expected_gradient = cross_entropy(
        tokens, merged, votes, F.pad(by_class, (1, 0)), pixels
    )
    assert loss == expected
    assert torch.equal(gradient, expected_gradient)


@settings(deadline=None, max_examples=50)
@given(
    classes=st.integers(1, 20),
    grid=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 140)),
    seed=st.integers(0, 10**6),
)
def test_every_pixel_once_as_a_sample_is_all_pixels(random, regions, classes, grid, size, seed):
    tokens, proposals = 3 * random(classes, *grid, seed=seed), regions(size, 4, seed)
    votes = torch.tensor([IGNORE_INDEX, 0, classes - 1, classes // 2])
    weights = torch.rand(4, generator=torch.Generator().manual_seed(seed))
    loss, gradient = cross_entropy(tokens, proposals, votes, weights)
    order = torch.randperm(proposals.numel(), generator=torch.Generator().manual_seed(seed))
    again, gradient_again = cross_entropy(tokens, proposals, votes, weights, order)
    assert again == pytest.approx(loss, rel=1e-5, abs=1e-5)
    torch.testing.assert_close(
        gradient_again, gradient, rtol=1e-4, atol=1e-5 * max(1.0, float(gradient.abs().max()))
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_ids_of_any_integer_type(random, regions, dtype):
    tokens, proposals = random(4, 3, 3), regions((12, 12), 5)
    votes, weights = (
        torch.tensor([IGNORE_INDEX, 0, 3, IGNORE_INDEX, 1]),
        torch.tensor([0.0, 0.5, 2.0, 0.0, 0.1]),
    )
    loss, gradient = cross_entropy(tokens, proposals.to(dtype), votes, weights)
    expected = cross_entropy(tokens, proposals, votes, weights)
    assert loss == expected[0]
    assert torch.equal(gradient, expected[1])


def test_certain_tokens_of_different_classes_meet():
    tokens = torch.full((3, 1, 2), -400.0)
    tokens[0, 0, 0] = tokens[1, 0, 1] = 400.0
    votes, proposals = torch.tensor([IGNORE_INDEX, 2]), torch.ones((1, 16), dtype=torch.int64)
    loss, gradient = cross_entropy(tokens, proposals, votes, torch.ones(2))
    expected, expected_gradient = plain_cross_entropy(tokens, proposals, votes, torch.ones(2))
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-4)


def test_not_a_number_comes_through(random):
    tokens, proposals = random(5, 3, 3), torch.ones(12, 12, dtype=torch.int64)
    tokens[2, 1, 1] = torch.nan
    loss, _ = cross_entropy(tokens, proposals, torch.tensor([IGNORE_INDEX, 0]), torch.ones(2))
    assert np.isnan(loss)


@pytest.mark.parametrize("pixels", [None, torch.tensor([0])])
def test_ids_without_a_vote_are_refused(random, pixels):
    proposals = torch.full((8, 8), 2)
    with pytest.raises(ValueError, match="a proposal has no vote"):
        cross_entropy(
            random(3, 2, 2), proposals, torch.tensor([IGNORE_INDEX, 0]), torch.ones(2), pixels
        )
