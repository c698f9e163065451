"""The ballots of one image against plain torch."""

import pytest
import torch

from primaps.prototypes.pixels import pixel_grid, upsample
from primaps.prototypes.steps.ballots_kernel import ballots


@pytest.mark.parametrize("stride", [1, 3])
def test_ballots_count_the_best_class_of_every_pixel(regions, random, shape, stride):
    classes, grid, size = shape
    tokens, proposals = 3 * random(classes, *grid, seed=classes), regions(size, 6)
    counts = ballots(tokens, proposals, stride)
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


def test_ties_go_to_the_smallest_class():
    tokens = torch.full((20, 2, 2), -1.0)
    tokens[[17, 9, 3]] = 2.0
    counts = ballots(tokens, torch.ones(8, 8, dtype=torch.int64))
    assert counts[1].nonzero().tolist() == [[3]]
    assert counts[1, 3] == 64
    assert counts[0].sum() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_ids_of_any_integer_type(random, regions, dtype):
    tokens, proposals = random(4, 3, 3), regions((12, 12), 5)
    assert torch.equal(ballots(tokens, proposals.to(dtype)), ballots(tokens, proposals))


def test_not_a_number_comes_through(random):
    tokens, proposals = random(5, 3, 3), torch.ones(12, 12, dtype=torch.int64)
    tokens[2, 1, 1] = torch.nan
    assert ballots(tokens, proposals).sum() == 144


def test_negative_ids_are_refused(random):
    proposals = torch.full((8, 8), 2)
    proposals[0, 0] = -1
    with pytest.raises(ValueError, match="a proposal id is negative"):
        ballots(random(3, 2, 2), proposals)
