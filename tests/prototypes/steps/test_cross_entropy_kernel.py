"""The compiled loops over pixels against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.prototypes.steps import cross_entropy_kernel
from primaps.prototypes.steps import plain as plain_steps
from primaps.prototypes.steps.pixels import pixel_grid, upsample
from primaps.types import IGNORE_INDEX


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def regions(size, ids, seed=0):
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(ids, (-(-size[0] // 5), -(-size[1] // 5)), generator=generator)
    return blocks.repeat_interleave(5, 0).repeat_interleave(5, 1)[: size[0], : size[1]].contiguous()


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


shapes = pytest.mark.parametrize(
    ("classes", "grid", "size"),
    [
        (2, (1, 1), (3, 4)),
        (5, (7, 9), (56, 72)),
        (8, (3, 1), (24, 200)),
        (11, (6, 5), (31, 67)),
        (27, (9, 8), (72, 64)),
        (40, (4, 6), (4, 6)),
        (6, (9, 8), (4, 5)),
        (254, (3, 5), (20, 12)),
    ],
)


@shapes
@pytest.mark.parametrize("stride", [1, 3])
def test_ballots_count_the_best_class_of_every_pixel(classes, grid, size, stride):
    tokens, proposals = 3 * random(classes, *grid, seed=classes), regions(size, 6)
    counts = cross_entropy_kernel.ballots(tokens, proposals, stride)
    wide = upsample(tokens, size, stride)
    best = wide.topk(2, dim=0).values
    tied = int((best[0] - best[1] < 1e-5).sum())
    ids = proposals[pixel_grid(size[0], stride), pixel_grid(size[1], stride)]
    expected = torch.zeros_like(counts)
    expected.view(-1).scatter_add_(
        0, (ids * classes + wide.argmax(0)).flatten(), torch.ones(ids.numel(), dtype=torch.int64)
    )
    assert counts.shape == (int(proposals.max()) + 1, classes)
    assert (counts - expected).abs().sum() <= 2 * tied
    assert counts.sum() == ids.numel()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_ids_of_any_integer_type(dtype):
    tokens, proposals = random(4, 3, 3), regions((12, 12), 5)
    votes, weights = (
        torch.tensor([IGNORE_INDEX, 0, 3, IGNORE_INDEX, 1]),
        torch.tensor([0.0, 0.5, 2.0, 0.0, 0.1]),
    )
    kept = proposals.to(dtype)
    assert torch.equal(
        cross_entropy_kernel.ballots(tokens, kept), cross_entropy_kernel.ballots(tokens, proposals)
    )
    loss, gradient = cross_entropy_kernel.cross_entropy(tokens, kept, votes, weights)
    expected = cross_entropy_kernel.cross_entropy(tokens, proposals, votes, weights)
    assert loss == expected[0]
    assert torch.equal(gradient, expected[1])


def test_ties_go_to_the_smallest_class():
    tokens = torch.full((20, 2, 2), -1.0)
    tokens[[17, 9, 3]] = 2.0
    counts = cross_entropy_kernel.ballots(tokens, torch.ones(8, 8, dtype=torch.int64))
    assert counts[1].nonzero().tolist() == [[3]]
    assert counts[1, 3] == 64
    assert counts[0].sum() == 0


@shapes
@pytest.mark.parametrize("stride", [1, 4])
def test_probabilities_equal_plain_torch(classes, grid, size, stride):
    tokens = 4 * random(classes, *grid, seed=classes)
    total, pixels = cross_entropy_kernel.probability_sum(tokens, size, stride)
    assert total.dtype == torch.float64
    torch.testing.assert_close(
        (total / pixels).float(),
        plain_steps.mean_probabilities([tokens], [size], stride),
        rtol=2e-6,
        atol=1e-8,
    )
    assert float(total.sum() / pixels) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0, 60.0, 300.0])
@pytest.mark.parametrize(
    ("grid", "size"),
    [((5, 7), (40, 56)), ((4, 5), (56, 70)), ((6, 6), (20, 100)), ((3, 4), (24, 1000))],
)
def test_probabilities_of_flat_and_steep_logits(scale, grid, size):
    tokens = scale * random(11, *grid)
    total, _ = cross_entropy_kernel.probability_sum(tokens, size)
    expected = upsample(tokens.double().float(), size).double().softmax(0).sum((1, 2))
    torch.testing.assert_close(
        total / expected.sum(), expected / expected.sum(), rtol=1e-5, atol=1e-7
    )


def test_flat_logits_are_done_together_and_steep_ones_one_by_one(monkeypatch):
    def found(scale):
        return cross_entropy_kernel.probability_sum(scale * random(3, 5, 7), (40, 56))[0]

    together = found(1.0), found(300.0)
    monkeypatch.setattr(
        cross_entropy_kernel,
        "_runs",
        lambda *_: (np.arange(56), np.ones(56, np.int64), np.zeros(56, np.float32)),
    )
    single = found(1.0), found(300.0)
    assert not torch.equal(together[0], single[0])
    torch.testing.assert_close(together[0], single[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(together[1], single[1], rtol=1e-6, atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(1, 300), st.integers(1, 4))
def test_runs_cover_an_axis_once_and_evenly(tokens, pixels, stride):
    starts, counts, steps = cross_entropy_kernel._runs(tokens, pixels, stride)
    lower, upper, weight = cross_entropy_kernel._taps(tokens, pixels, stride)
    covered = [
        (run, start + index) for run, start in enumerate(starts) for index in range(counts[run])
    ]
    assert [pixel for _, pixel in covered] == list(range(len(weight)))
    assert counts.max() <= 8
    for run, pixel in covered:
        first = starts[run]
        assert (lower[pixel], upper[pixel]) == (lower[first], upper[first])
        if lower[pixel] != upper[pixel]:
            assert weight[pixel] == pytest.approx(
                weight[first] + (pixel - first) * steps[run], abs=3e-5
            )


@shapes
@pytest.mark.parametrize("sampled", [False, True])
def test_cross_entropy_and_its_gradient_equal_float64(classes, grid, size, sampled):
    tokens, proposals = 4 * random(classes, *grid, seed=classes), regions(size, 7)
    generator = torch.Generator().manual_seed(1)
    votes = torch.randint(classes, (7,), generator=generator)
    votes[[0, 2]] = IGNORE_INDEX
    weights = torch.rand(7, generator=generator)
    pixels = torch.randint(proposals.numel(), (300,), generator=generator) if sampled else None
    loss, gradient = cross_entropy_kernel.cross_entropy(tokens, proposals, votes, weights, pixels)
    expected, expected_gradient = plain_cross_entropy(tokens, proposals, votes, weights, pixels)
    assert loss == pytest.approx(expected, rel=2e-6, abs=1e-6)
    scale = float(expected_gradient.abs().max()) if expected else 1.0
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=2e-6 * scale)


@pytest.mark.parametrize("pixels", [None, torch.arange(0, 2240, 3)])
def test_the_bytes_are_those_of_classes_where_proposals_of_a_class_weigh_the_same(pixels):
    """Logarithms are taken of runs of pixels of one class and weight, not of one proposal."""
    tokens, proposals = random(6, 5, 7), regions((40, 56), 9)
    votes = torch.tensor([IGNORE_INDEX, 0, 1, 0, 2, IGNORE_INDEX, 1, 0, 5])
    by_class = torch.tensor([0.3, 0.7, 0.2, 0.0, 0.0, 0.9])
    loss, gradient = cross_entropy_kernel.cross_entropy(
        tokens, proposals, votes, F.pad(by_class, (0, 250))[votes], pixels
    )
    merged = torch.where(votes == IGNORE_INDEX, 0, votes + 1)[proposals]
    votes = torch.tensor([IGNORE_INDEX, *range(6)])
    expected, expected_gradient = cross_entropy_kernel.cross_entropy(
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
def test_every_pixel_once_as_a_sample_is_all_pixels(classes, grid, size, seed):
    tokens, proposals = 3 * random(classes, *grid, seed=seed), regions(size, 4, seed)
    votes = torch.tensor([IGNORE_INDEX, 0, classes - 1, classes // 2])
    weights = torch.rand(4, generator=torch.Generator().manual_seed(seed))
    loss, gradient = cross_entropy_kernel.cross_entropy(tokens, proposals, votes, weights)
    order = torch.randperm(proposals.numel(), generator=torch.Generator().manual_seed(seed))
    again, gradient_again = cross_entropy_kernel.cross_entropy(
        tokens, proposals, votes, weights, order
    )
    assert again == pytest.approx(loss, rel=1e-5, abs=1e-5)
    torch.testing.assert_close(
        gradient_again, gradient, rtol=1e-4, atol=1e-5 * max(1.0, float(gradient.abs().max()))
    )


def test_certain_tokens_of_different_classes_meet():
    tokens = torch.full((3, 1, 2), -400.0)
    tokens[0, 0, 0] = tokens[1, 0, 1] = 400.0
    size = (1, 16)
    total, pixels = cross_entropy_kernel.probability_sum(tokens, size)
    torch.testing.assert_close(
        (total / pixels).float(), torch.tensor([0.5, 0.5, 0.0]), rtol=1e-4, atol=1e-6
    )
    votes, proposals = torch.tensor([IGNORE_INDEX, 2]), torch.ones(size, dtype=torch.int64)
    loss, gradient = cross_entropy_kernel.cross_entropy(tokens, proposals, votes, torch.ones(2))
    expected, expected_gradient = plain_cross_entropy(tokens, proposals, votes, torch.ones(2))
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-4, atol=1e-4)


def test_not_a_number_comes_through():
    tokens, proposals = random(5, 3, 3), torch.ones(12, 12, dtype=torch.int64)
    tokens[2, 1, 1] = torch.nan
    assert cross_entropy_kernel.ballots(tokens, proposals).sum() == 144
    assert torch.isnan(cross_entropy_kernel.probability_sum(tokens, (12, 12))[0]).all()
    loss, _ = cross_entropy_kernel.cross_entropy(
        tokens, proposals, torch.tensor([IGNORE_INDEX, 0]), torch.ones(2)
    )
    assert np.isnan(loss)


@pytest.mark.parametrize("pixels", [None, torch.tensor([0])])
def test_ids_without_a_vote_are_refused(pixels):
    proposals = torch.full((8, 8), 2)
    with pytest.raises(ValueError, match="a proposal has no vote"):
        cross_entropy_kernel.cross_entropy(
            random(3, 2, 2), proposals, torch.tensor([IGNORE_INDEX, 0]), torch.ones(2), pixels
        )
    proposals[0, 0] = -1
    with pytest.raises(ValueError, match="a proposal id is negative"):
        cross_entropy_kernel.ballots(random(3, 2, 2), proposals)
