import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.config import PredictConfig
from primaps.evaluation.probe import LinearProbe
from primaps.proposals.crf.dense_crf import dense_crf
from primaps.protocol.heads import Head, heads, pixel_scores, variant_label_map
from primaps.protocol.selection import last
from primaps.prototypes.loop.state import Snapshot

SIDE = 48


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def picture():
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def upsampled_features(features):
    return F.interpolate(features[None], size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0]


def features_of_different_norm():
    """Without these, tokens would have much the same say in every pixel."""
    return random(70, 6, 6) * torch.logspace(-1, 1, 36).view(6, 6)


def plain_scores(features, head):
    """Features first upsampled, then classified, as the official code does."""
    pixels = upsampled_features(features)
    if head.cosine:
        pixels = F.normalize(pixels, dim=0)
    scores = torch.einsum("kc,chw->khw", head.weight, pixels)
    return scores if head.bias is None else scores + head.bias[:, None, None]


HEADS = [
    Head("teacher", 0, F.normalize(random(4, 70, seed=1), dim=1), cosine=True),
    Head("student", 0, random(4, 70, seed=2)),
    Head("linear", None, random(4, 70, seed=3), random(4, seed=4)),
]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_scores_are_those_of_upsampled_features(head):
    features = features_of_different_norm()
    scores = pixel_scores(features, head, (SIDE, SIDE))
    if scores.shape[1] != SIDE:
        scores = upsampled_features(scores)
    torch.testing.assert_close(scores, plain_scores(features, head), atol=1e-4, rtol=1e-4)


FULL = PredictConfig(crf_scale=1.0)


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.name)
def test_label_maps_with_and_without_crf(head):
    features = features_of_different_norm()
    scores = plain_scores(features, head)
    plain = variant_label_map(features, head, None, SIDE, FULL)
    assert plain.dtype == np.uint8
    assert (plain == scores.argmax(0).numpy()).mean() > 0.999
    refined = variant_label_map(features, head, picture(), SIDE, FULL)
    posterior = dense_crf(picture(), torch.log_softmax(scores, dim=0).numpy())
    assert (refined == np.asarray(posterior).argmax(0)).mean() > 0.995
    assert (refined != plain).any()
    assert (variant_label_map(features, head, picture(), SIDE, PredictConfig()) != refined).any()


def test_heads_of_em_and_of_the_baseline():
    selected = {
        seed: last([Snapshot(3, random(4, 5, seed=seed), random(4, 5, seed=seed + 7))])
        for seed in (0, 1)
    }
    probe = LinearProbe(random(4, 5), random(4))
    found = heads(selected, probe, cosine=False)
    assert [(head.name, head.seed) for head in found] == [
        ("teacher", 0),
        ("student", 0),
        ("teacher", 1),
        ("student", 1),
        ("linear", None),
    ]
    assert [head.supervised for head in found] == [False, False, False, False, True]
    assert torch.equal(found[3].weight, selected[1].snapshot.student)
    assert len({head.identity() for head in found}) == 5
    assert [head.name for head in heads(selected, probe, cosine=True)] == [
        "teacher",
        "teacher",
        "linear",
    ]


def test_the_same_weights_as_cosine_are_another_head():
    assert (
        Head("teacher", 0, random(2, 3)).identity()
        != Head("teacher", 0, random(2, 3), cosine=True).identity()
    )
