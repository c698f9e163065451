"""PriMaPs-EM on whole proposals: each enters with its mean feature and a few of its tokens instead
of with all its pixels.

The steps are those of `primaps.prototypes.em` (Hahn et al., TMLR 2024, section 3.2) with one sample
per proposal. The teacher judges a proposal by its mean feature, for logits are linear: the mean of
its tokens' logits decides instead of the majority of its pixels. It may leave the choice open: with
soft votes a class that wins no proposal yet still learns. In the loss a few random tokens stand for
the proposal, so that prototypes learn how far tokens stray from the mean. All proposals fit in
memory, so every step sees all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.em import focal_class_weights


@torch.no_grad()
def responsibilities(teacher: Tensor, proposals: ProposalMeans, *, soft: bool) -> Tensor:
    """E-step: to which classes the teacher gives every proposal.

    Args:
        teacher: (K, C) float32 effective prototypes, for unit features.
        proposals: M of them.
        soft: Class probabilities of the mean feature; otherwise its best class alone, the smallest
            id on ties, as published.

    Returns:
        (M, K) float32, rows sum to 1.
    """
    logits = proposals.features @ teacher.T
    return logits.softmax(1) if soft else F.one_hot(logits.max(1).indices, len(teacher)).float()


def proposal_loss(
    student: Tensor,
    proposals: ProposalMeans,
    shares: Tensor,
    *,
    gamma: float,
    proposal_weight: float,
) -> Tensor:
    """M-step loss: focal cross-entropy to the classes of the E-step.

    Mean over proposals, weighted by ``area ** proposal_weight``, of ``sum_k share_k * w_k * CE_k``;
    the cross-entropy of a proposal is the mean of that of its tokens, or that of its mean feature
    if it has none. The class weights w come from the mean probabilities over the area, as in the
    publication.

    Args:
        student: (K, C) float32 effective prototypes, for unit features; the loss is differentiable
            in them.
        proposals: M of them.
        shares: (M, K) float32 from `responsibilities`.
        gamma: Focal exponent.
        proposal_weight: Exponent of the area in the weight of a proposal; 1 = every pixel counts
            alike.

    Returns:
        () float32.
    """
    samples = proposals.tokens if proposals.tokens.shape[1] else proposals.features[:, None]
    log_probabilities = (samples @ student.T).log_softmax(2)
    present = proposals.areas @ log_probabilities.detach().exp().mean(1) / proposals.areas.sum()
    losses = -(log_probabilities.mean(1) * shares) @ focal_class_weights(present, gamma)
    weights = proposals.areas**proposal_weight
    loss: Tensor = (weights @ losses) / weights.sum()
    return loss
