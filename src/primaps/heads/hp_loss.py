"""Contrastive and consistency losses of HP ("Leveraging Hidden Positives", Seong et al., CVPR
2023).

Pure functions of tensors, in float32 throughout: the official code keeps masks and
log-probabilities in float16, which overflows when an anchor has thousands of positives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

BASE_TEMPERATURE: Final = 0.07
CONSISTENCY_EPSILON: Final = 1e-6


def reference_similarity(tokens: Tensor, pool: Tensor, chunk: int = 8192) -> Tensor:
    """Cosine of every token to the most similar entry of a reference pool: the bar that a hidden
    positive has to exceed.

    Args:
        tokens: (N, C) float, unit length.
        pool: (M, C) float, unit length, tokens of random images.
        chunk: Tokens compared at a time.

    Returns:
        (N,).
    """
    return torch.cat([(part @ pool.T).amax(1) for part in torch.split(tokens, chunk)])


def hidden_positives(tokens: Tensor, bars: Tensor, anchors: slice) -> Tensor:
    """Global hidden positives: pairs that are more similar than one of the two is to anything in
    the reference pool.

    Args:
        tokens: (N, C) float, unit length, of all images of the batch.
        bars: (N,) as `reference_similarity` gives them.
        anchors: The A tokens that positives are looked for.

    Returns:
        (A, N) bool; symmetric; an anchor is never a positive of its own.
    """
    similarity = tokens[anchors] @ tokens.T
    # Greater than one of two bars is greater than the lower one.
    found = similarity > torch.minimum(bars[anchors, None], bars)
    numbers = torch.arange(len(tokens), device=tokens.device)[anchors]
    found[numbers - numbers[0], numbers] = False
    return found


@dataclass(frozen=True)
class Pairs:
    """Which tokens the anchors of one image are drawn to and compared with.

    Attributes:
        anchors: The A tokens of the image, out of the N of the batch.
        agnostic: (A, N) bool: positives by backbone features ("task-agnostic").
        specific: (A, N) bool: positives by the momentum head's code ("task-specific").
        kept: (A, N) bool: further tokens to compare with.
        specific_weight: Weight of the task-specific positives, in [0, 1].
    """

    anchors: slice
    agnostic: Tensor
    specific: Tensor
    kept: Tensor
    specific_weight: float


def contrastive_loss(
    embeddings: Tensor, pairs: Pairs, *, temperature: float, reweight: bool = True
) -> Tensor:
    """Contrastive loss with many positives per anchor, of the anchors of one image.

    Anchors without a task-agnostic positive are left out; if none is left the loss is 0 (the
    official code gets NaN and skips the step).

    Args:
        embeddings: (N, D) float, unit length.
        pairs: Positives of the anchors.
        temperature: Of the softmax; the loss is scaled by temperature / 0.07.
        reweight: Anchors count in proportion to the number of their positives.

    Returns:
        () float32.
    """
    chosen = pairs.agnostic.any(1).nonzero().flatten()
    if not len(chosen):
        return embeddings.sum() * 0.0
    numbers = torch.arange(len(embeddings), device=embeddings.device)[pairs.anchors][chosen]
    agnostic = pairs.agnostic[chosen]
    compared = agnostic | pairs.kept[chosen]
    compared[torch.arange(len(chosen), device=chosen.device), numbers] = False
    weights = agnostic.float()
    if pairs.specific_weight:
        weights = weights.add_(pairs.specific[chosen], alpha=pairs.specific_weight)
    number = weights.sum(1)
    scores = embeddings[numbers].float() @ (embeddings.T.float() / temperature)
    # Log-probabilities are the scores less a number per anchor, which their weighted mean only
    # shifts.
    per_anchor = (weights * scores).sum(1) / number - scores.masked_fill(
        ~compared, -torch.inf
    ).logsumexp(1)
    if reweight:
        per_anchor = per_anchor * number / number.mean()
    return -(temperature / BASE_TEMPERATURE) * per_anchor.mean()


def consistency_loss(embeddings: Tensor, augmented: Tensor) -> Tensor:
    """Mean distance between the embeddings of an image and of its photometrically augmented
    version.

    Args:
        embeddings: (N, D) float.
        augmented: (N, D) float.

    Returns:
        () mean of |z - z' + 1e-6|, the small number as in `torch.nn.PairwiseDistance`.
    """
    distances: Tensor = torch.linalg.vector_norm(
        embeddings - augmented + CONSISTENCY_EPSILON, dim=1
    )
    return distances.mean()


def specific_weight(step: int, total: int, warmup: int) -> float:
    """Weight of task-specific positives: 0 during the warm-up, then rising linearly towards 1.

    Args:
        step: Number of the step, from 0.
        total: Steps in all.
        warmup: Steps of the warm-up.
    """
    return 0.0 if step <= warmup else (step - warmup) / (total - warmup)
