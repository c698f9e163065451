import math

import pytest
import torch
from torch.nn import functional as F

from primaps.errors import ConfigError
from primaps.naming.named_classifier import (
    NOTHING,
    Handed,
    certain_weights,
    from_clusters,
    hand_on,
    linear_classifier,
)


def directions(*degrees):
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float32))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_every_proposal_has_the_class_of_the_most_similar_named_one():
    unit = directions(0, 10, 80, 90)
    handed = hand_on(unit, torch.tensor([0, 3]), torch.tensor([2, 1]))
    assert handed.classes.tolist() == [2, 2, 1, 1]
    expected = [1.0, math.cos(math.radians(10)), math.cos(math.radians(10)), 1.0]
    assert handed.cosines.tolist() == pytest.approx(expected, abs=1e-6)


def test_equal_proposals_keep_what_was_said_of_each():
    unit = directions(5, 5, 5)
    handed = hand_on(unit, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert handed.classes.tolist()[:2] == [0, 1]


def test_without_names_there_is_no_class():
    handed = hand_on(directions(0, 90), torch.empty(0, dtype=torch.int64), torch.empty(0).long())
    assert handed.classes.tolist() == [NOTHING, NOTHING]


def test_a_named_cluster_counts_where_its_mean_is_nearer():
    unit = directions(0, 40, 50, 90)
    handed = hand_on(unit, torch.tensor([0]), torch.tensor([0]))
    found = from_clusters(handed, unit, torch.tensor([0, 1, 1, 2]), torch.tensor([1, 1, NOTHING]))
    assert found.classes.tolist() == [0, 1, 1, 0]  # named itself; nearer; nearer; no name
    assert found.cosines[1] > 0.99


def test_weights_are_areas_times_certainty_and_nothing_counts_nothing():
    handed = Handed(torch.tensor([0, 1, NOTHING]), torch.tensor([1.0, 0.5, 1.0]))
    weights = certain_weights(handed, torch.tensor([2.0, 4.0, 8.0]))
    assert weights.tolist() == pytest.approx([2.0, 4.0 * math.exp(-1.5), 0.0])


def test_the_classifier_is_the_minimum_of_the_stated_loss():
    generator = torch.Generator().manual_seed(0)
    unit = F.normalize(torch.randn(60, 5, generator=generator), dim=1)
    classes = (unit[:, 0] > 0).long() + (unit[:, 1] > 0.3).long()
    weights = torch.rand(60, generator=generator)
    found = linear_classifier(unit, classes, weights, 3, penalty=1e-2, rounds=500).double()
    found.requires_grad_()
    losses = F.cross_entropy(unit.double() @ found.T, classes, reduction="none")
    loss = losses @ (weights.double() / weights.double().sum()) + 1e-2 * found.square().sum()
    (gradient,) = torch.autograd.grad(loss, found)
    assert gradient.abs().max() < 1e-5


def test_proposals_without_weight_change_nothing():
    unit, classes = directions(0, 20, 70, 90), torch.tensor([0, 0, 1, 1])
    alone = linear_classifier(unit, classes, torch.ones(4), 2)
    more = linear_classifier(
        torch.cat([unit, directions(45)]),
        torch.cat([classes, torch.tensor([NOTHING])]),
        torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]),
        2,
    )
    assert torch.equal(alone, more)
    assert torch.equal(alone, linear_classifier(unit, classes, torch.ones(4), 2))


def test_nothing_to_learn_from_is_refused():
    with pytest.raises(ConfigError, match="of none"):
        linear_classifier(directions(0), torch.tensor([NOTHING]), torch.zeros(1), 2)
