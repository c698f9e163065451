"""PriMaPs-EM on whole proposals: each enters with its mean feature and a few of its tokens instead of with all its pixels.

The steps are those of `primaps.prototypes.em` (Hahn et al., TMLR 2024, section 3.2) with one sample per proposal. The teacher's
class of a proposal is that of its mean feature, for logits are linear: the mean of its tokens' logits decides instead of the
majority of its pixels. In the loss a few random tokens stand for the proposal, so that prototypes learn how far tokens stray from
the mean. All proposals fit in memory, so every step sees all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.prototypes.clusters import ProposalMeans
from primaps.prototypes.em import focal_class_weights


@torch.no_grad()
def class_of_each(teacher: Tensor, proposals: ProposalMeans) -> Tensor:
    """E-step: the teacher's class of every proposal.

    Args:
        teacher: (K, C) float32 effective prototypes, for unit features.
        proposals: M of them.

    Returns:
        (M,) int64; the smallest class id wins ties.
    """
    return (proposals.features @ teacher.T).max(1).indices


def proposal_loss(student: Tensor, proposals: ProposalMeans, classes: Tensor, *, gamma: float, proposal_weight: float) -> Tensor:
    """M-step loss: focal cross-entropy to the classes of the E-step.

    Mean over proposals, weighted by ``area ** proposal_weight``, of ``w_y * CE``; the cross-entropy of a proposal is the mean of
    that of its tokens, or that of its mean feature if it has none. The class weights w come from the mean probabilities over
    the area, as in the publication.

    Args:
        student: (K, C) float32 effective prototypes, for unit features; the loss is differentiable in them.
        proposals: M of them.
        classes: (M,) int64 from `class_of_each`.
        gamma: Focal exponent.
        proposal_weight: Exponent of the area in the weight of a proposal; 1 = every pixel counts alike.

    Returns:
        () float32.
    """
    samples = proposals.tokens if proposals.tokens.shape[1] else proposals.features[:, None]
    log_probabilities = (samples @ student.T).log_softmax(2)
    losses = -log_probabilities.gather(2, classes[:, None, None].expand(-1, samples.shape[1], 1))[:, :, 0].mean(1)
    probabilities = log_probabilities.detach().exp().mean(1)
    class_weights = focal_class_weights(proposals.areas @ probabilities / proposals.areas.sum(), gamma)
    weights = proposals.areas**proposal_weight
    loss: Tensor = ((weights * class_weights[classes]) @ losses) / weights.sum()
    return loss
