"""Spherical k-means (Dhillon & Modha, Machine Learning 2001) with a k-means++ start (Arthur &
Vassilvitskii, SODA 2007).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def spherical_kmeans(
    unit: Tensor,
    num_clusters: int,
    generator: torch.Generator,
    *,
    restarts: int = 2,
    rounds: int = 40,
) -> tuple[Tensor, float]:
    """Unit centres that tokens have large cosines to.

    Args:
        unit: (N, C) float32 L2-normalised tokens.
        num_clusters: K.
        generator: Source of the starts.
        restarts: Starts; the one with the best objective is taken.
        rounds: At most this many rounds; a run ends when no token changes its cluster.

    Returns:
        (K, C) float32 unit centres, and the objective: the mean cosine of a token to the nearest
        centre.
    """
    runs = [_run(unit, _start(unit, num_clusters, generator), rounds) for _ in range(restarts)]
    return max(runs, key=lambda run: run[1])


def _start(unit: Tensor, num_clusters: int, generator: torch.Generator) -> Tensor:
    """Tokens drawn one after the other, in proportion to the squared distance (2 - 2 cosine) to the
    nearest one so far.
    """
    centres = unit[torch.randint(len(unit), (1,), generator=generator)]
    for _ in range(num_clusters - 1):
        distance = 1.0 - (unit @ centres.T).amax(1)
        # Not exactly 0, so that a draw is possible even if all tokens are equal.
        drawn = torch.multinomial(distance.clamp_min(1e-9), 1, generator=generator)
        centres = torch.cat([centres, unit[drawn]])
    return centres


def _run(unit: Tensor, centres: Tensor, rounds: int) -> tuple[Tensor, float]:
    previous = torch.empty(0, dtype=torch.int64)
    for _ in range(rounds):
        best, nearest = (unit @ centres.T).max(1)
        if torch.equal(nearest, previous):
            break
        sums = torch.zeros_like(centres).index_add_(0, nearest, unit)
        empty = torch.bincount(nearest, minlength=len(centres)) == 0
        # a cluster without tokens starts anew at the worst one
        sums[empty] = unit[best.argsort()[: int(empty.sum())]]
        centres, previous = F.normalize(sums, dim=1), nearest
    return centres, float((unit @ centres.T).amax(1).mean())
