"""The class probabilities of one image against plain torch, from runs of pixels and from single
ones.
"""

import numpy as np
import pytest
import torch

from primaps.prototypes.pixels import upsample
from primaps.prototypes.steps import probability_kernel
from primaps.prototypes.steps.plain import PlainSums
from primaps.prototypes.steps.probability_kernel import probability_sum


@pytest.mark.parametrize("stride", [1, 4])
def test_probabilities_equal_plain_torch(random, shape, stride):
    classes, grid, size = shape
    tokens = 4 * random(classes, *grid, seed=classes)
    total, pixels = probability_sum(tokens, size, stride)
    assert total.dtype == torch.float64
    torch.testing.assert_close(
        (total / pixels).float(),
        PlainSums().mean_probabilities([tokens], [size], stride),
        rtol=2e-6,
        atol=1e-8,
    )
    assert float(total.sum() / pixels) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("scale", [0.1, 3.0, 20.0, 60.0, 300.0])
@pytest.mark.parametrize(
    ("grid", "size"),
    [((5, 7), (40, 56)), ((4, 5), (56, 70)), ((6, 6), (20, 100)), ((3, 4), (24, 1000))],
)
def test_probabilities_of_flat_and_steep_logits(random, scale, grid, size):
    tokens = scale * random(11, *grid)
    total, _ = probability_sum(tokens, size)
    expected = upsample(tokens.double().float(), size).double().softmax(0).sum((1, 2))
    torch.testing.assert_close(
        total / expected.sum(), expected / expected.sum(), rtol=1e-5, atol=1e-7
    )


def test_flat_logits_are_done_together_and_steep_ones_one_by_one(random, monkeypatch):
    def found(scale):
        return probability_sum(scale * random(3, 5, 7), (40, 56))[0]

    together = found(1.0), found(300.0)
    monkeypatch.setattr(
        probability_kernel,
        "runs_of",
        lambda *_: (np.arange(56), np.ones(56, np.int64), np.zeros(56, np.float32)),
    )
    single = found(1.0), found(300.0)
    assert not torch.equal(together[0], single[0])
    torch.testing.assert_close(together[0], single[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(together[1], single[1], rtol=1e-6, atol=1e-6)


def test_certain_tokens_of_different_classes_meet():
    tokens = torch.full((3, 1, 2), -400.0)
    tokens[0, 0, 0] = tokens[1, 0, 1] = 400.0
    total, pixels = probability_sum(tokens, (1, 16))
    torch.testing.assert_close(
        (total / pixels).float(), torch.tensor([0.5, 0.5, 0.0]), rtol=1e-4, atol=1e-6
    )


def test_not_a_number_comes_through(random):
    tokens = random(5, 3, 3)
    tokens[2, 1, 1] = torch.nan
    assert torch.isnan(probability_sum(tokens, (12, 12))[0]).all()
