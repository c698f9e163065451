"""The sums in plain torch, to which the compiled loops are compared."""

import torch
from torch.nn import functional as F

from primaps.prototypes.steps.plain import PlainSums, pseudo_labels


def test_pseudo_labels_spread_the_votes():
    proposals, votes = (
        torch.tensor([[[0, 1], [2, 1]], [[1, 1], [0, 2]]]),
        torch.tensor([[255, 7, 4], [255, 3, 255]]),
    )
    assert pseudo_labels(proposals, votes).tolist() == [
        [[255, 7], [4, 7]],
        [[3, 3], [255, 255]],
    ]


def test_mean_probabilities_count_pixels_of_images_of_different_size(random):
    tokens, sizes = [random(4, 3, 3), random(4, 2, 5, seed=1)], [(9, 9), (4, 10)]
    full = torch.cat(
        [
            F.interpolate(value[None], size=size, mode="bilinear")[0].flatten(1).softmax(0)
            for value, size in zip(tokens, sizes, strict=True)
        ],
        dim=1,
    )
    torch.testing.assert_close(PlainSums().mean_probabilities(tokens, sizes, 1), full.mean(1))
