"""PriMaPs-EM on whole proposals: each enters with its mean feature instead of with all its pixels.

The steps are those of `primaps.prototypes.em` (Hahn et al., TMLR 2024, section 3.2) with one sample per proposal. The teacher's
class of a proposal is that of its mean feature, for logits are linear: the mean of its tokens' logits decides instead of the
majority of its pixels. All proposals of a folder fit in memory, so every step sees all of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.prototypes.em import focal_class_weights


@torch.no_grad()
def class_of_each(teacher: Tensor, means: Tensor) -> Tensor:
    """E-step: the teacher's class of every proposal.

    Args:
        teacher: (K, C) float32 effective prototypes.
        means: (M, C) float32 mean features.

    Returns:
        (M,) int64; the smallest class id wins ties.
    """
    return (means @ teacher.T).max(1).indices


def proposal_loss(
    student: Tensor, means: Tensor, areas: Tensor, classes: Tensor, *, gamma: float, proposal_weight: float
) -> Tensor:
    """M-step loss: focal cross-entropy to the classes of the E-step.

    Mean over proposals, weighted by ``area ** proposal_weight``, of ``w_y * CE``. The class weights w come from the mean
    probabilities over the area, as in the publication.

    Args:
        student: (K, C) float32 effective prototypes; the loss is differentiable in them.
        means: (M, C) float32 mean features.
        areas: (M,) float32 areas.
        classes: (M,) int64 from `class_of_each`.
        gamma: Focal exponent.
        proposal_weight: Exponent of the area in the weight of a proposal; 1 = every pixel counts alike.

    Returns:
        () float32.
    """
    log_probabilities = (means @ student.T).log_softmax(1)
    present = areas @ log_probabilities.detach().exp() / areas.sum()
    weights = areas**proposal_weight
    counted = weights * focal_class_weights(present, gamma)[classes]
    losses = -log_probabilities.gather(1, classes[:, None])[:, 0]
    loss: Tensor = (counted @ losses) / weights.sum()
    return loss
