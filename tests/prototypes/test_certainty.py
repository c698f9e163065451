import pytest
import torch
from torch.nn import functional as F

from primaps.prototypes import classifier
from primaps.prototypes.certainty import certainty, certainty_map


def scores(classes=5, height=7, width=9, seed=0):
    return torch.randn(classes, height, width, generator=torch.Generator().manual_seed(seed)) * 3


def plain(logits):
    first, second = logits.softmax(dim=0).topk(2, dim=0).values
    return first - second


@pytest.mark.parametrize("classes", [2, 3, 27])
def test_it_is_the_difference_of_the_two_largest_probabilities(classes):
    logits = scores(classes)
    torch.testing.assert_close(certainty(logits), plain(logits))


def test_two_equal_classes_are_not_told_apart_and_one_alone_is_certain():
    assert certainty(torch.zeros(3, 1, 1)).item() == pytest.approx(0.0)
    assert certainty(torch.tensor([100.0, 0.0, 0.0])[:, None, None]).item() == pytest.approx(1.0)


@pytest.mark.parametrize("size", [(7, 9), (30, 41), (3, 4)])
def test_the_map_upsamples_first_and_in_strips(size, monkeypatch):
    monkeypatch.setattr(classifier, "STRIP_ELEMENTS", 5 * 41 * 4)
    logits = scores()
    full = F.interpolate(logits[None], size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(certainty_map(logits, size), plain(full), atol=1e-5, rtol=1e-5)
