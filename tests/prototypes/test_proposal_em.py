"""The steps of EM on whole proposals against a restatement in float64."""

import numpy as np
import pytest
import torch

from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.proposal_em import class_of_each, proposal_loss


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def proposals(count=7, tokens=3, channels=5, seed=0):
    """Random proposals of areas between 1 and 41 tokens."""
    areas = 1 + 40 * torch.rand(count, generator=torch.Generator().manual_seed(seed))
    return ProposalMeans(
        0.8 * random(count, channels, seed=seed + 1), areas, torch.tensor(1.0), random(count, tokens, channels, seed=seed + 2)
    )


def plain_loss(student, found, classes, gamma, exponent):
    """Loss and gradient, proposal by proposal: the mean over its tokens; of the mean feature where there are none."""
    student, features, areas, tokens = (
        each.detach().double().numpy() for each in (student, found.features, found.areas, found.tokens)
    )

    def softmax(vector):
        powers = np.exp(student @ vector - (student @ vector).max())
        return powers / powers.sum()

    parts = []  # per proposal: share in its loss, and vector
    for mean, mine in zip(features, tokens, strict=True):
        parts.append([(1 / len(mine), token) for token in mine] if len(mine) else [(1.0, mean)])
    average = sum(area * share * softmax(vector) for area, part in zip(areas, parts, strict=True) for share, vector in part)
    focal = (1 - average / areas.sum()) ** gamma
    loss, gradient = 0.0, np.zeros_like(student)
    for area, part, label in zip(areas, parts, classes.tolist(), strict=True):
        weight = area**exponent / (areas**exponent).sum() * focal[label]
        for share, vector in part:
            probabilities = softmax(vector)
            loss -= weight * share * np.log(probabilities[label])
            gradient += weight * share * np.outer(probabilities - np.eye(len(student))[label], vector)
    return loss, gradient


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tokens", [0, 1, 4])
def test_loss_and_gradient_equal_float64(tokens, exponent, gamma):
    found, student = proposals(tokens=tokens), random(4, 5, seed=9).requires_grad_()
    classes = class_of_each(random(4, 5, seed=10), found)
    loss = proposal_loss(student, found, classes, gamma=gamma, proposal_weight=exponent)
    loss.backward()
    expected, gradient = plain_loss(student, found, classes, gamma, exponent)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(student.grad, gradient, rtol=1e-4, atol=1e-6)


def test_the_weights_of_proposals_and_classes_by_hand():
    """Two proposals of areas 9 and 1 whose probabilities are (3/4, 1/4) and (1/4, 3/4)."""
    length = float(np.log(3.0))
    found = ProposalMeans(torch.eye(2), torch.tensor([9.0, 1.0]), torch.tensor(1.0), torch.empty(2, 0, 2))
    student, classes = length * torch.eye(2), torch.tensor([0, 1])
    first, second = 1 - (9 * 3 / 4 + 1 / 4) / 10, 1 - (9 / 4 + 3 / 4) / 10  # 0.3 and 0.7
    for exponent, weights in ((1.0, (9, 1)), (0.5, (3, 1)), (0.0, (1, 1))):
        expected = -np.log(3 / 4) * (weights[0] * first + weights[1] * second) / sum(weights)
        loss = proposal_loss(student, found, classes, gamma=1.0, proposal_weight=exponent)
        assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_tokens_that_equal_their_mean_change_nothing():
    without, student = proposals(tokens=0), random(4, 5, seed=9)
    classes = class_of_each(student, without)
    tokens = without.features[:, None].expand(-1, 6, -1)
    alike = ProposalMeans(without.features, without.areas, without.square_norm, tokens)
    losses = [proposal_loss(student, each, classes, gamma=2.0, proposal_weight=0.5) for each in (without, alike)]
    torch.testing.assert_close(losses[0], losses[1])


def test_the_class_of_a_proposal_has_the_largest_mean_logit_of_its_tokens():
    found, teacher = proposals(count=30, tokens=6), random(4, 5, seed=3)
    means = ProposalMeans(found.tokens.mean(1), found.areas, found.square_norm, found.tokens)
    expected = torch.einsum("mtc,kc->mtk", found.tokens, teacher).mean(1).argmax(1)
    assert len(expected.unique()) == 4
    assert torch.equal(class_of_each(teacher, means), expected)


def test_the_smallest_class_wins_ties_and_classes_carry_no_gradient():
    found, teacher = proposals(), random(1, 5).repeat(3, 1).requires_grad_()
    classes = class_of_each(teacher, found)
    assert classes.tolist() == [0] * 7
    assert not classes.requires_grad


def test_class_weights_do_not_carry_a_gradient():
    """Doubling gamma scales the gradient of a loss of one class by the weight, and adds nothing."""
    found, student = proposals(), random(4, 5, seed=9).requires_grad_()
    classes = torch.zeros(7, dtype=torch.int64)
    gradients = []
    for gamma in (0.0, 2.0):
        loss = proposal_loss(student, found, classes, gamma=gamma, proposal_weight=1.0)
        gradients.append((loss.item(), torch.autograd.grad(loss, student)[0]))
    torch.testing.assert_close(gradients[1][1] / gradients[1][0], gradients[0][1] / gradients[0][0])
