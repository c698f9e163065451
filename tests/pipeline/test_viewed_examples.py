import base64

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.pipeline.certainties import ImageCertainty
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.pipeline.viewed_examples import (
    EXAMPLES,
    cluster_certainty,
    cluster_facts,
    share_examples,
)
from primaps.pipeline.viewed_images import ViewedImage


def stored(count, images, seed=0):
    generator = torch.Generator().manual_seed(seed)
    unit = F.normalize(torch.randn(count, 5, generator=generator), dim=1)
    owners = torch.sort(torch.randint(images, (count,), generator=generator)).values
    names = tuple(f"{row}.jpg" for row in range(images))
    return StoredProposals(names, owners, torch.arange(count) + 1, unit, torch.ones(count), 1.0)


def image(name, clusters, certainty=None):
    return ViewedImage(name, None, 10, 10, clusters, certainty=certainty)


def regions(examples):
    return [(each["image"], each["proposal"]) for each in examples]


def test_a_cluster_without_proposals_has_none_and_a_zero_row():
    scores = torch.tensor([[2.0, 0.0, 1.0]]).repeat(4, 1)
    facts, examples = cluster_facts(stored(4, 2), scores, [0, 1])
    gram = np.frombuffer(base64.b64decode(facts["gram"]), "<f4").reshape(3, 3)
    assert facts["counts"] == [4, 0, 0]
    assert not gram[1:].any()
    assert gram[0, 0] > 0
    assert examples[1] == {"best": [], "worst": [], "uncertain": []}


@pytest.mark.parametrize(("count", "images"), [(40, 20), (40, 3), (3, 3), (1, 1)])
def test_examples_are_few_and_of_different_images(count, images):
    proposals = stored(count, images)
    scores = torch.zeros(count, 2)
    scores[:, 0] = torch.linspace(0.1, 3, count)
    _, examples = cluster_facts(proposals, scores, list(range(images)))
    for kind in ("best", "uncertain"):
        found = regions(examples[0][kind])
        assert len(found) == len(set(found)) == min(EXAMPLES, count)
        there = len(set(proposals.image.tolist()))
        assert len({row for row, _ in found}) == min(EXAMPLES, there)
    assert not set(regions(examples[0]["best"])) & set(regions(examples[0]["worst"]))
    certain = [each["score"] for each in examples[0]["uncertain"]]
    if there >= EXAMPLES:
        assert certain == sorted(certain)


def test_images_have_the_numbers_that_the_viewer_knows_them_by():
    _, examples = cluster_facts(stored(6, 2), torch.tensor([[1.0, 0.0]]).repeat(6, 1), [7, 40])
    assert {row for row, _ in regions(examples[0]["best"])} == {7, 40}


def test_one_cluster_is_certain():
    _, examples = cluster_facts(stored(3, 3), torch.zeros(3, 1), [0, 1, 2])
    assert [each["score"] for each in examples[0]["uncertain"]] == [1.0, 1.0, 1.0]


def test_by_share_where_no_proposals_are_known():
    images = [
        image("a", {0: 90, 1: 10}, ImageCertainty(0.5, {0: 2}, {0: 0.0})),
        image("b", {0: 600, 1: 400}, ImageCertainty(0.5, {0: 2, 1: 2}, {0: 1.0, 1: 0.4})),
        image("c", {255: 7}),
    ]
    found = share_examples(images, 0)
    assert [(each["image"], each["score"]) for each in found["best"]] == [(0, 0.9), (1, 0.6)]
    assert found["worst"] == []
    assert [(each["image"], each["score"]) for each in found["uncertain"]] == [(0, 0.0), (1, 0.5)]
    assert share_examples(images, 5) == {"best": [], "worst": [], "uncertain": []}
    assert share_examples([], 0) == {"best": [], "worst": [], "uncertain": []}


def test_certainty_by_cluster_is_the_mean_over_places():
    images = [
        image("a", {}, ImageCertainty(0.5, {0: 1, 2: 3}, {0: 0.25, 2: 0.3})),
        image("b", {}, ImageCertainty(0.5, {0: 3}, {0: 2.25})),
        image("c", {}),
    ]
    assert cluster_certainty(images, 3) == [[4, 0.625], [0, 0.0], [3, 0.1]]
    assert cluster_certainty(images[2:], 3) is None
