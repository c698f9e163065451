"""Classes from the names of a few proposals: names are handed on to the proposals that look alike,
and a linear classifier is fitted to all of them.

The classifier has no bias: measured, a bias does not help, and without one it is a matrix of
prototypes like that of any other fit. Computed in float64, on the CPU, without any randomness.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import ConfigError

NOTHING: Final = -1
"""As the class of a proposal: it is of none, or nobody knows."""

SHARPNESS: Final = 3.0
"""A name that was handed on counts by exp(SHARPNESS * (cosine - 1))."""

PENALTY: Final = 5e-5
"""Weight of the sum of all squared weights beside the mean loss of a proposal."""

ROUNDS: Final = 60
"""Iterations of L-BFGS at most."""


@dataclass(frozen=True)
class Handed:
    """Names that were handed on.

    Attributes:
        classes: (M,) int64 class of every proposal, `NOTHING` where there is none.
        cosines: (M,) float32 similarity of every proposal to what it has its class from, in
            [-1, 1].
    """

    classes: Tensor
    cosines: Tensor


def hand_on(unit: Tensor, rows: Tensor, classes: Tensor) -> Handed:
    """Give every proposal the class of the named proposal that it is most similar to.

    Args:
        unit: (M, C) float32 unit features of all proposals.
        rows: (N,) int64 the named ones, each once; none if N is 0, and then all are of no class.
        classes: (N,) int64 their classes; `NOTHING` where a person looked and found none.
    """
    if not len(rows):
        return Handed(torch.full((len(unit),), NOTHING), torch.full((len(unit),), -1.0))
    cosines, nearest = (unit @ unit[rows].T).max(1)
    nearest[rows] = torch.arange(len(rows))  # of equal proposals each keeps its own name
    return Handed(classes[nearest], cosines.index_fill(0, rows, 1.0))


def from_clusters(handed: Handed, unit: Tensor, clusters: Tensor, names: Tensor) -> Handed:
    """A proposal has the class of its cluster, if that has one and the mean of the cluster is more
    similar to it than the named proposal it has its class from.

    Args:
        handed: What named proposals say.
        unit: (M, C) float32 unit features of all proposals.
        clusters: (M,) int64 cluster that the present model gives each to.
        names: (K,) int64 class of every cluster; `NOTHING` where it has no name.
    """
    sums = torch.zeros(len(names), unit.shape[1]).index_add_(0, clusters, unit)
    cosines = (unit * F.normalize(sums, dim=1)[clusters]).sum(1)
    better = (names[clusters] != NOTHING) & (cosines > handed.cosines)
    return Handed(
        torch.where(better, names[clusters], handed.classes),
        torch.where(better, cosines, handed.cosines),
    )


def certain_weights(handed: Handed, areas: Tensor) -> Tensor:
    """How much every proposal counts: its area, less the less sure its class is.

    Args:
        handed: The classes.
        areas: (M,) float32 areas of the proposals.

    Returns:
        (M,) float32; 0 for those without a class.
    """
    known = handed.classes != NOTHING
    return areas * torch.exp(SHARPNESS * (handed.cosines - 1.0)) * known


def linear_classifier(
    unit: Tensor,
    classes: Tensor,
    weights: Tensor,
    num_classes: int,
    *,
    penalty: float = PENALTY,
    rounds: int = ROUNDS,
) -> Tensor:
    """Multinomial logistic regression without bias: the minimum of the weighted mean cross-entropy
    plus a penalty on the squared weights (L-BFGS, Liu & Nocedal 1989).

    Args:
        unit: (M, C) floating-point unit features.
        classes: (M,) int64; `NOTHING` only where the weight is 0.
        weights: (M,) floating-point weights, 0 or more, not all 0.
        num_classes: K.
        penalty: See `PENALTY`.
        rounds: See `ROUNDS`.

    Returns:
        (K, C) float32 weights; logits are inner products with unit features.

    Raises:
        ConfigError: If no proposal counts.
    """
    used = weights > 0
    if not bool(used.any()):
        raise ConfigError("Expected proposals of some class, but all named ones are of none.")
    inputs, targets = unit[used].double(), classes[used]
    shares = weights[used].double() / weights[used].double().sum()
    found = torch.zeros(num_classes, unit.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [found], max_iter=rounds, line_search_fn="strong_wolfe", tolerance_change=1e-9
    )

    def step() -> Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(inputs @ found.T, targets, reduction="none")
        loss = losses @ shares + penalty * found.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(step)  # type: ignore[no-untyped-call]
    return found.detach().float()
