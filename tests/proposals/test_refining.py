import dataclasses

import pytest
import torch

from primaps.config import CRFConfig, preset_config
from primaps.proposals import refining
from primaps.proposals.refining import crf_size, refined, scaled_constants

CONFIG = preset_config("default").proposals


def stripes(counts, height=24, width=40):
    """Images of as many stripes as ``counts`` says, and log-probabilities that know them."""
    images = torch.zeros(len(counts), height, width, 3, dtype=torch.uint8)
    scores = torch.zeros(len(counts), max(counts) + 1, height // 4, width // 4)
    for image, count in enumerate(counts):
        if count:
            number = torch.arange(width) * count // width
            images[image] = (number * 200 // count).to(torch.uint8)[None, :, None]
            one_hot = torch.nn.functional.one_hot(number[2::4] + 1, max(counts) + 1)
            scores[image] = 4.0 * one_hot.T[:, None].float()
    return images, scores


def test_every_image_is_refined_as_if_it_were_alone():
    counts = (0, 2, 9, 3)
    images, scores = stripes(counts)
    labels, erased = refined(images, scores, counts, CONFIG, 10**6)
    assert erased == [False] * 4
    for image, count in enumerate(counts):
        alone, _ = refined(
            images[image : image + 1],
            scores[image : image + 1, : count + 1],
            [count],
            CONFIG,
            10**6,
        )
        assert torch.equal(labels[image], alone[0])
        assert labels[image].unique().tolist() == (list(range(1, count + 1)) or [0])


def test_parts_that_fit_the_memory_give_the_same(monkeypatch):
    images, scores = stripes((3, 2, 3))
    whole, _ = refined(images, scores, (3, 2, 3), CONFIG, 10**6)
    monkeypatch.setattr(refining, "_MAX_POSTERIOR", 1)
    assert torch.equal(refined(images, scores, (3, 2, 3), CONFIG, 10**6)[0], whole)


@pytest.mark.parametrize("official", [False, True])
def test_proposals_that_the_crf_erases_are_those_before_it(official):
    images = torch.full((1, 32, 32, 3), 128, dtype=torch.uint8)
    scores = torch.zeros(1, 2, 8, 8)
    scores[0, 0], scores[0, :, 3, 3] = 1.0, torch.tensor([0.0, 1.0])
    config = dataclasses.replace(CONFIG, official_order=official)
    labels, erased = refined(images, scores, [1], config, 10**6)
    assert erased == [not official]
    assert bool(labels.any()) is not official


def test_with_many_labels_the_crf_works_at_fewer_pixels():
    assert crf_size((1000, 1000), 2, 10**6) == (1000, 1000)
    assert crf_size((1000, 1000), 2, 10**4) == (100, 100)
    height, width = crf_size((1000, 1000), 255, 10**6)
    assert height * width * 255 <= refining.POSTERIOR_LIMIT


def test_constants_shrink_with_the_image():
    config = CRFConfig()
    assert scaled_constants(config, 0.5).bilateral_sxy == config.bilateral_sxy / 2
    assert scaled_constants(config, 0.5).gaussian_sxy == config.gaussian_sxy
