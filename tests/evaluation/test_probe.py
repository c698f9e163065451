from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from primaps.errors import ConfigError, DatasetError
from primaps.evaluation.probe import (
    LinearProbe,
    fit_linear_probe,
    fit_linear_probe_to_batches,
    initial_probe,
    token_labels,
)
from primaps.types import IGNORE_INDEX


def clouds(count=600, channels=5, num_classes=3, seed=0):
    """Tokens around one centre per class, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (count,), generator=generator)
    centres = torch.randn(num_classes, channels, generator=torch.Generator().manual_seed(99)) * 3
    return centres[labels] + torch.randn(count, channels, generator=generator) * 0.5, labels


def same(a, b):
    return torch.equal(a.weight, b.weight) and torch.equal(a.bias, b.bias)


def test_finds_separable_classes_in_tokens_it_has_not_seen():
    probe = fit_linear_probe(*clouds(), num_classes=3, steps=200, batch_size=64, learning_rate=0.05)
    tokens, labels = clouds(seed=1)
    found = probe.logits(tokens.T[:, :, None])[:, :, 0].argmax(0)
    assert (found == labels).float().mean() > 0.97


def test_the_bias_is_needed_and_fitted():
    """On the line, only a shifted threshold separates."""
    tokens = torch.linspace(1, 3, 101)[:, None]
    labels = (tokens[:, 0] > 2.5).long()
    probe = fit_linear_probe(tokens, labels, 2, steps=1500, batch_size=256, learning_rate=0.05)
    found = probe.logits(tokens.T[:, :, None])[:, :, 0].argmax(0)
    assert (found == labels).float().mean() > 0.97


def test_is_a_convolution_trained_by_adam():
    tokens, labels = clouds()
    batches = [
        (tokens[part], labels[part])
        for part in (slice(0, 100), slice(100, 350), slice(350, 351), slice(0, 600))
    ]
    start = initial_probe(5, 3, torch.Generator().manual_seed(7))
    untouched = LinearProbe(start.weight.clone(), start.bias.clone())
    convolution = nn.Conv2d(5, 3, 1)
    convolution.load_state_dict({"weight": start.weight[:, :, None, None], "bias": start.bias})
    optimiser = torch.optim.Adam(convolution.parameters(), lr=5e-3)
    for values, classes in batches:
        loss = F.cross_entropy(convolution(values.T[None, :, :, None])[0, :, :, 0].T, classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    probe = fit_linear_probe_to_batches(iter(batches), start)
    torch.testing.assert_close(probe.weight, convolution.weight.detach()[:, :, 0, 0])
    torch.testing.assert_close(probe.bias, convolution.bias.detach())
    assert not probe.weight.requires_grad
    assert same(start, untouched)
    features = torch.randn(2, 5, 3, 4)
    torch.testing.assert_close(probe.logits(features), convolution(features).detach())
    torch.testing.assert_close(probe.logits(features[1]), convolution(features).detach()[1])


def test_the_start_is_that_of_a_convolution():
    start = initial_probe(16, 400, torch.Generator().manual_seed(0))
    assert start.weight.shape == (400, 16)
    for values in (start.weight, start.bias):
        assert values.abs().max() <= 0.25
        assert values.min() < -0.24
        assert values.max() > 0.24
        assert abs(values.mean()) < 0.02


def test_the_seed_decides_and_nothing_else():
    tokens, labels = clouds()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = fit_linear_probe(tokens, labels, 3, steps=5, batch_size=32, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert same(first, fit_linear_probe(tokens, labels, 3, steps=5, batch_size=32, seed=4))
    assert not same(first, fit_linear_probe(tokens, labels, 3, steps=5, batch_size=32, seed=5))


@pytest.mark.parametrize("ignore_index", [IGNORE_INDEX, -1])
def test_tokens_without_label_are_never_drawn(ignore_index):
    tokens, labels = clouds()
    labels[::3], tokens[::3] = ignore_index, torch.nan
    probe = fit_linear_probe(tokens, labels, 3, steps=20, batch_size=512, ignore_index=ignore_index)
    kept = labels != ignore_index
    assert same(probe, fit_linear_probe(tokens[kept], labels[kept], 3, steps=20, batch_size=512))


def test_half_precision_tokens_are_widened():
    tokens, labels = clouds()
    narrow = tokens.half()
    probe = fit_linear_probe(narrow, labels.to(torch.uint8), 3, steps=20)
    assert probe.weight.dtype == torch.float32
    assert same(probe, fit_linear_probe(narrow.float(), labels, 3, steps=20))


def test_the_label_of_a_token_is_the_one_at_the_centre_of_its_cell():
    labels = np.arange(16 * 24).reshape(16, 24).astype(np.uint8)
    assert token_labels(labels, (2, 3)).tolist() == [
        [labels[r, c] for c in (4, 12, 20)] for r in (4, 12)
    ]
    assert token_labels(labels, (16, 24)).tolist() == labels.tolist()
    assert token_labels(np.array([[1, 2, 3]]), (1, 1)).tolist() == [[2]]
    # cells of 7 / 3 pixels: centres at 1.17, 3.5, 5.83
    assert token_labels(np.arange(7)[None], (1, 3)).tolist() == [[1, 3, 5]]


@pytest.mark.parametrize("grid", [(0, 1), (1, 5), (3, 4)])
def test_a_grid_finer_than_the_labels(grid):
    with pytest.raises(ConfigError, match="at least one pixel per cell"):
        token_labels(np.zeros((2, 4), int), grid)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tokens": torch.zeros(4)}, ConfigError, r"tokens \(N, C\) and labels \(N,\)"),
        (
            {"labels": torch.zeros(3, dtype=torch.int64)},
            ConfigError,
            r"tokens \(N, C\) and labels \(N,\)",
        ),
        ({"tokens": torch.zeros(4, 2, dtype=torch.int64)}, ConfigError, "floating-point tokens"),
        ({"labels": torch.zeros(4)}, ConfigError, "integer class ids"),
        ({"tokens": torch.zeros(4, 0)}, ConfigError, "one or more channels"),
        ({"steps": 0}, ConfigError, "steps and batch_size to be 1 or more"),
        ({"batch_size": 0}, ConfigError, "steps and batch_size to be 1 or more"),
        ({"learning_rate": 0.0}, ConfigError, "learning_rate to be positive"),
        ({"learning_rate": float("nan")}, ConfigError, "learning_rate to be positive"),
        ({"labels": torch.full((4,), IGNORE_INDEX)}, DatasetError, "all 4 have the label 255"),
        (
            {"labels": torch.full((4,), 2)},
            DatasetError,
            r"classes 0..1, but got labels from 2 to 2",
        ),
        (
            {"labels": torch.full((4,), -1)},
            DatasetError,
            r"classes 0..1, but got labels from -1 to -1",
        ),
        ({"tokens": torch.full((4, 2), torch.inf)}, DatasetError, "features to be finite"),
    ],
)
def test_what_does_not_fit(change, error, message):
    given = {
        "tokens": torch.zeros(4, 2),
        "labels": torch.zeros(4, dtype=torch.int64),
        "num_classes": 2,
        "steps": 2,
    } | change
    with pytest.raises(error, match=message):
        fit_linear_probe(**given)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "one or more batches"),
        ([(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))], "one is empty"),
    ],
)
def test_streams_without_tokens(batches, message):
    with pytest.raises(DatasetError, match=message):
        fit_linear_probe_to_batches(batches, initial_probe(2, 2, torch.Generator()))


@pytest.mark.parametrize("shape", [(4, 2, 2), (5, 2), (1, 1, 5, 2, 2)])
def test_features_of_another_backbone(shape):
    with pytest.raises(ConfigError, match="C = 5 as the probe was fitted to"):
        initial_probe(5, 2, torch.Generator()).logits(torch.zeros(shape))
