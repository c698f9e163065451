"""The steps of EM on whole proposals against a restatement in float64."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.em import focal_class_weights
from primaps.prototypes.proposal_em import proposal_loss, responsibilities


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def proposals(count=7, tokens=3, channels=5, seed=0):
    """Random proposals of areas between 1 and 41 tokens."""
    areas = 1 + 40 * torch.rand(count, generator=torch.Generator().manual_seed(seed))
    return ProposalMeans(
        0.8 * random(count, channels, seed=seed + 1),
        areas,
        torch.tensor(1.0),
        random(count, tokens, channels, seed=seed + 2),
    )


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def plain_shares(teacher, found, soft):
    """(M, K) float64, proposal by proposal: the probabilities of its mean feature, or 1 for the
    best class.
    """
    logits = found.features.double().numpy() @ teacher.double().numpy().T
    return np.stack([softmax(row) if soft else np.eye(len(row))[row.argmax()] for row in logits])


def plain_loss(student, found, shares, gamma, exponent):
    """Loss and gradient, proposal by proposal: the mean over its tokens; of the mean feature where
    there are none.
    """
    student, features, areas, tokens = (
        each.detach().double().numpy()
        for each in (student, found.features, found.areas, found.tokens)
    )
    parts = []  # per proposal: part in its loss, and vector
    for mean, mine in zip(features, tokens, strict=True):
        parts.append([(1 / len(mine), token) for token in mine] if len(mine) else [(1.0, mean)])
    average = sum(
        area * part * softmax(student @ vector)
        for area, some in zip(areas, parts, strict=True)
        for part, vector in some
    )
    focal = (1 - average / areas.sum()) ** gamma
    loss, gradient = 0.0, np.zeros_like(student)
    for area, some, votes in zip(areas, parts, shares, strict=True):
        for part, vector in some:
            probabilities = softmax(student @ vector)
            for label, share in enumerate(votes):
                weight = area**exponent / (areas**exponent).sum() * part * share * focal[label]
                loss -= weight * np.log(probabilities[label])
                gradient += weight * np.outer(probabilities - np.eye(len(student))[label], vector)
    return loss, gradient


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tokens", [0, 1, 4])
def test_loss_and_gradient_equal_float64(tokens, exponent, gamma, soft):
    found, student, teacher = (
        proposals(tokens=tokens),
        random(4, 5, seed=9).requires_grad_(),
        random(4, 5, seed=10),
    )
    shares = responsibilities(teacher, found, soft=soft)
    loss = proposal_loss(student, found, shares, gamma=gamma, proposal_weight=exponent)
    loss.backward()
    expected, gradient = plain_loss(
        student, found, plain_shares(teacher, found, soft), gamma, exponent
    )
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(student.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tokens", [0, 4])
def test_hard_votes_give_the_cross_entropy_to_one_label_per_proposal(tokens, exponent):
    """The loss with labels instead of shares: a label picks its class weight and its logarithm."""
    found, student, teacher = (
        proposals(tokens=tokens),
        random(4, 5, seed=9).requires_grad_(),
        random(4, 5, seed=10),
    )
    samples = found.tokens if tokens else found.features[:, None]
    labels, logits = (found.features @ teacher.T).argmax(1), samples @ student.T
    assert len(labels.unique()) > 1
    losses = F.cross_entropy(
        logits.movedim(2, 1), labels[:, None].expand(-1, samples.shape[1]), reduction="none"
    ).mean(1)
    present = found.areas @ logits.detach().softmax(2).mean(1) / found.areas.sum()
    weights = found.areas**exponent
    expected = (weights * focal_class_weights(present, 2.0)[labels] * losses).sum() / weights.sum()
    loss = proposal_loss(
        student,
        found,
        responsibilities(teacher, found, soft=False),
        gamma=2.0,
        proposal_weight=exponent,
    )
    torch.testing.assert_close(loss, expected)
    gradients = [torch.autograd.grad(each, student)[0] for each in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_the_weights_of_proposals_and_classes_by_hand():
    """Two proposals of areas 9 and 1 whose probabilities are (3/4, 1/4) and (1/4, 3/4)."""
    length = float(np.log(3.0))
    found = ProposalMeans(
        torch.eye(2), torch.tensor([9.0, 1.0]), torch.tensor(1.0), torch.empty(2, 0, 2)
    )
    student = length * torch.eye(2)
    shares = [responsibilities(student, found, soft=soft) for soft in (False, True)]
    torch.testing.assert_close(shares[0], torch.eye(2))
    torch.testing.assert_close(shares[1], torch.tensor([[3 / 4, 1 / 4], [1 / 4, 3 / 4]]))
    first, second = 1 - (9 * 3 / 4 + 1 / 4) / 10, 1 - (9 / 4 + 3 / 4) / 10  # 0.3 and 0.7
    for exponent, weights in ((1.0, (9, 1)), (0.5, (3, 1)), (0.0, (1, 1))):
        sure, unsure = -np.log(3 / 4), -np.log(1 / 4)
        hard = (weights[0] * first * sure + weights[1] * second * sure) / sum(weights)
        mixed = (
            first * 3 / 4 * sure + second / 4 * unsure,
            first / 4 * unsure + second * 3 / 4 * sure,
        )
        soft = (weights[0] * mixed[0] + weights[1] * mixed[1]) / sum(weights)
        for votes, expected in zip(shares, (hard, soft), strict=True):
            loss = proposal_loss(student, found, votes, gamma=1.0, proposal_weight=exponent)
            assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
def test_tokens_that_equal_their_mean_change_nothing(soft):
    without, student = proposals(tokens=0), random(4, 5, seed=9)
    shares = responsibilities(student, without, soft=soft)
    tokens = without.features[:, None].expand(-1, 6, -1)
    alike = ProposalMeans(without.features, without.areas, without.square_norm, tokens)
    losses = [
        proposal_loss(student, each, shares, gamma=2.0, proposal_weight=0.5)
        for each in (without, alike)
    ]
    torch.testing.assert_close(losses[0], losses[1])


def test_the_mean_logits_of_its_tokens_decide_on_a_proposal():
    found, teacher = proposals(count=30, tokens=6), random(4, 5, seed=3)
    means = ProposalMeans(found.tokens.mean(1), found.areas, found.square_norm, found.tokens)
    logits = torch.einsum("mtc,kc->mtk", found.tokens, teacher).mean(1)
    hard, soft = (responsibilities(teacher, means, soft=soft) for soft in (False, True))
    assert len(logits.argmax(1).unique()) == 4
    assert torch.equal(hard, torch.eye(4)[logits.argmax(1)])
    torch.testing.assert_close(soft, logits.softmax(1))
    assert hard.dtype == soft.dtype == torch.float32
    torch.testing.assert_close(soft.sum(1), torch.ones(30))
    assert (soft.max(1).values < 0.9).any(), "some of them are open"


def test_soft_votes_of_long_prototypes_are_hard_votes():
    found, teacher = proposals(count=30), random(4, 5, seed=3)
    hard, soft = (responsibilities(1e5 * teacher, found, soft=soft) for soft in (False, True))
    torch.testing.assert_close(soft, hard)


@pytest.mark.parametrize(
    ("soft", "expected"), [(False, [1.0, 0.0, 0.0]), (True, [1 / 3] * 3)], ids=["hard", "soft"]
)
def test_ties_go_to_the_smallest_class_or_are_shared_and_shares_carry_no_gradient(soft, expected):
    found, teacher = proposals(), random(1, 5).repeat(3, 1).requires_grad_()
    shares = responsibilities(teacher, found, soft=soft)
    torch.testing.assert_close(shares, torch.tensor(expected).expand(7, 3))
    assert not shares.requires_grad


def test_class_weights_do_not_carry_a_gradient():
    """Doubling gamma scales the gradient of a loss of one class by the weight, and adds nothing."""
    found, student = proposals(), random(4, 5, seed=9).requires_grad_()
    shares = torch.eye(4)[:1].expand(7, 4)
    gradients = []
    for gamma in (0.0, 2.0):
        loss = proposal_loss(student, found, shares, gamma=gamma, proposal_weight=1.0)
        gradients.append((loss.item(), torch.autograd.grad(loss, student)[0]))
    torch.testing.assert_close(gradients[1][1] / gradients[1][0], gradients[0][1] / gradients[0][0])
