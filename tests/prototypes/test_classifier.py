"""Prototypes, label maps and PCA initialisation against plain references."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from primaps.errors import ConfigError, DatasetError
from primaps.prototypes import classifier
from primaps.prototypes.classifier import (
    FeatureMoments,
    Prototypes,
    label_map_from_logits,
    logits,
    principal_directions,
)

sides = st.integers(1, 9)
pixels = st.integers(1, 40)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_effective_prototypes_equal_weight_norm():
    direction, scale = random(5, 7), random(5, seed=1)
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(7, 5, bias=False), dim=0)
    layer.parametrizations.weight.original0.data = scale[:, None]
    layer.parametrizations.weight.original1.data = direction
    torch.testing.assert_close(Prototypes(scale, direction).effective(), layer.weight.detach())


def test_logits_are_inner_products_or_cosines():
    features, prototypes = random(2, 7, 3, 4), random(5, 7, seed=1)
    expected = torch.einsum("kc,nchw->nkhw", prototypes, features)
    torch.testing.assert_close(logits(features, prototypes), expected)
    cosines = F.cosine_similarity(prototypes[None, :, :, None, None], features[:, None], dim=2)
    torch.testing.assert_close(logits(features, prototypes, cosine=True), cosines)
    torch.testing.assert_close(
        logits(features[1].half(), prototypes), logits(features[1].half().float(), prototypes)
    )
    assert logits(features[1], prototypes).shape == (5, 3, 4)


def test_zero_features_have_zero_cosines():
    assert torch.equal(
        logits(torch.zeros(7, 2, 2), random(5, 7), cosine=True), torch.zeros(5, 2, 2)
    )


@pytest.mark.parametrize("shape", [(6, 3, 4), (7, 4), (1, 1, 7, 3, 4)])
def test_logits_of_other_features_are_refused(shape):
    with pytest.raises(ConfigError, match=r"Expected features to be .* C = 7 channels"):
        logits(torch.zeros(shape), random(5, 7))


@settings(deadline=None, max_examples=60)
@given(
    k=st.integers(1, 6),
    h=sides,
    w=sides,
    height=pixels,
    width=pixels,
    strip=st.integers(1, 3000),
    whole=st.booleans(),
)
def test_label_map_equals_one_shot_argmax(k, h, w, height, width, strip, whole):
    values = random(k, h, w, seed=k * h)
    values = values.round() if whole else values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STRIP_ELEMENTS", strip)
        labels = label_map_from_logits(values, (height, width))
    full = F.interpolate(values[None], size=(height, width), mode="bilinear", align_corners=False)[
        0
    ]
    chosen = full.gather(0, labels[None])[0]
    assert labels.shape == (height, width)
    assert labels.dtype == torch.int64
    assert (full.amax(0) - chosen).max() <= 1e-5
    top = full.topk(min(2, k), dim=0).values
    clear = top[0] - top[-1] > 1e-5 if k > 1 else torch.ones(height, width, dtype=torch.bool)
    assert torch.equal(labels[clear], full.argmax(0)[clear])


@pytest.mark.parametrize("strip", [1, 500, 10**9])
def test_ties_go_to_the_smallest_class(monkeypatch, strip):
    monkeypatch.setattr(classifier, "STRIP_ELEMENTS", strip)
    values = random(3, 5, 6)
    twice = torch.cat([values, values])
    assert torch.equal(
        label_map_from_logits(twice, (37, 41)), label_map_from_logits(values, (37, 41))
    )
    assert not label_map_from_logits(torch.zeros(4, 5, 6), (37, 41)).any()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory from /proc")
def test_label_map_of_a_megapixel_with_254_classes_is_small():
    program = """
import torch
from primaps.prototypes.classifier import label_map_from_logits
def peak():
    status = open("/proc/self/status").read().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
torch.set_num_threads(1)
label_map_from_logits(torch.zeros(3, 4, 4), (8, 8))
before = peak()
logits = torch.randn(254, 100, 100, generator=torch.Generator().manual_seed(0))
assert label_map_from_logits(logits, (1000, 1000)).max() == 253
print(peak() - before)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert float(result.stdout) < 300


def moments_of(maps):
    moments = FeatureMoments(len(maps[0]))
    for features in maps:
        moments.update(features)
    return moments


def test_moments_equal_those_of_the_stacked_tokens():
    maps = [random(6, 3, 4) + 100, random(6, 5, 2, seed=1).half(), random(6, 1, 1, seed=2)]
    moments = moments_of(maps)
    stacked = torch.cat([values.flatten(1).double() for values in maps], dim=1)
    assert moments.count == stacked.shape[1]
    torch.testing.assert_close(moments.mean, stacked.mean(1))
    torch.testing.assert_close(moments.scatter / moments.count, torch.cov(stacked, correction=0))


def test_principal_directions_equal_svd_of_the_centred_matrix():
    mixing = torch.diag(torch.tensor([9.0, 5.0, 3.0, 2.0, 1.0, 0.5])) @ random(6, 6)
    maps = [
        torch.einsum("cd,dhw->chw", mixing, random(6, 7, 8, seed=seed)) + 20 for seed in range(4)
    ]
    stacked = torch.cat([values.flatten(1).double() for values in maps], dim=1)
    left = torch.linalg.svd(stacked - stacked.mean(1, keepdim=True), full_matrices=False)[0].T[:4]
    directions = principal_directions(moments_of(maps), 4, torch.Generator())
    torch.testing.assert_close(
        (directions.double() * left).sum(1).abs(),
        torch.ones(4, dtype=torch.float64),
        rtol=0,
        atol=1e-6,
    )
    torch.testing.assert_close(directions @ directions.T, torch.eye(4), rtol=0, atol=1e-6)
    assert (directions.gather(1, directions.abs().argmax(1, keepdim=True)) > 0).all()


def test_more_prototypes_than_channels_are_negated_then_random():
    moments = moments_of([random(3, 4, 4)])
    directions = principal_directions(moments, 10, torch.Generator().manual_seed(3))
    assert torch.equal(directions[3:6], -directions[:3])
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(10))
    assert len(torch.unique(directions, dim=0)) == 10
    assert torch.equal(
        directions, principal_directions(moments, 10, torch.Generator().manual_seed(3))
    )
    assert torch.equal(principal_directions(moments, 4, torch.Generator()), directions[:4])


@pytest.mark.parametrize("maps", [[torch.full((5, 3, 3), 7.0)], [torch.zeros(5, 1, 1)]])
def test_constant_features_give_unit_directions(maps):
    directions = principal_directions(moments_of(maps), 5, torch.Generator())
    torch.testing.assert_close(directions @ directions.T, torch.eye(5))


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.zeros(4, 2, 2), r"Expected features to be \(5, h, w\), but got \(4, 2, 2\)"),
        (torch.full((5, 2, 2), torch.nan), "Expected features to be finite"),
        (torch.full((5, 2, 2), torch.inf), "Expected features to be finite"),
    ],
)
def test_moments_refuse_bad_features(features, message):
    with pytest.raises(DatasetError, match=message):
        FeatureMoments(5).update(features)
