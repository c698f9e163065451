"""Classes from whole mask proposals: spherical k-means of their mean features, in which every
proposal has one vote.

Large, frequent surfaces own most pixels, so an objective over pixels spends several prototypes on
them. A proposal is one thing already, whatever its area. Spherical k-means: Dhillon & Modha
(Machine Learning 2001); start: greedy k-means++, Arthur & Vassilvitskii (SODA 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError

Each = Callable[
    [Callable[[torch.Generator], "Clusters"], Iterable[torch.Generator]], Iterable["Clusters"]
]

CANDIDATES: Final = 8
"""Proposals drawn for every further centre of a start, of which the one that improves the objective
most is taken.
"""

SEARCHED: Final = 8000
"""Vectors on which starts are compared at most."""

ROUNDS: Final = 100
_VANISHING: Final = 1e-9  # norm of a sum or mean of unit vectors that counts as none

SMALLEST_AREA: Final = 0.5
"""Tokens that a proposal must cover for its mean to count."""


@dataclass(frozen=True)
class ProposalMeans:
    """What the proposals of one or more images look like.

    Attributes:
        features: (M, C) float32, mean over a proposal's tokens of their L2-normalised features; of
            norm 1 or less.
        areas: (M,) float32 area of every proposal in tokens.
        square_norm: () float64 mean over all tokens of the squared norm of their features as the
            backbone gives them.
        tokens: (M, T, C) float32 L2-normalised features of T random tokens of every proposal,
            repetitions included.
        ids: (M,) int64 id of every proposal in its image; None where proposals of several images
            stand together.
    """

    features: Tensor
    areas: Tensor
    square_norm: Tensor
    tokens: Tensor
    ids: Tensor | None = None


def proposal_means(
    features: Tensor, proposals: Tensor, samples: int, generator: torch.Generator
) -> ProposalMeans:
    """Mean features of the mask proposals of one image.

    Args:
        features: (C, h, w) floating point, on the CPU.
        proposals: (H, W) integer proposal ids of the same image, 0 = unassigned. A pixel belongs to
            the token whose cell its centre lies in.
        samples: T, 0 or more.
        generator: Source of the random tokens, which are drawn in proportion to the area that they
            share with the proposal.

    Returns:
        The means of the proposals that cover `SMALLEST_AREA` tokens or more, in the order of their
        ids; those whose mean is zero have no direction and are left out.

    Raises:
        DatasetError: If a feature is not finite.
    """
    height, width = features.shape[1:]
    tokens = features.flatten(1).float()
    norms = tokens.norm(dim=0)
    square_norm = norms.double().square().mean()
    if not bool(square_norm.isfinite()):
        raise DatasetError(
            "Expected features to be finite, but got NaN or infinity. Extract the features again."
        )
    cells = _cells(height, proposals.shape[0])[:, None] * width + _cells(width, proposals.shape[1])
    ids, count = proposals.long(), height * width
    pixels = torch.bincount(
        (ids * count + cells).flatten(), minlength=(int(ids.max()) + 1) * count
    ).view(-1, count)[1:]
    shares = pixels.float() * (count / ids.numel())
    areas, unit = shares.sum(1), (tokens / norms.clamp_min(1e-12)).T
    means = shares @ unit / areas.clamp_min(SMALLEST_AREA)[:, None]
    kept = (areas >= SMALLEST_AREA) & (means.norm(dim=1) > _VANISHING)
    shares, areas, means = shares[kept], areas[kept], means[kept]
    drawn = torch.empty(len(areas), samples, dtype=torch.int64)
    if drawn.numel():
        drawn = torch.multinomial(shares, samples, replacement=True, generator=generator)
    return ProposalMeans(means, areas, square_norm, unit[drawn], kept.nonzero().flatten() + 1)


def _cells(tokens: int, pixels: int) -> Tensor:
    """(pixels,) int64 token whose cell the centre of each pixel of an axis lies in."""
    return (2 * torch.arange(pixels) + 1) * tokens // (2 * pixels)


@dataclass(frozen=True)
class Clusters:
    """Result of a k-means.

    Attributes:
        centres: (K, C) float32 unit vectors.
        nearest: (N,) int64 cluster of every vector.
        objective: Weighted mean cosine of the vectors to their centres.
    """

    centres: Tensor
    nearest: Tensor
    objective: float


def spherical_kmeans(
    vectors: Tensor,
    num_clusters: int,
    generators: Sequence[torch.Generator],
    *,
    weights: Tensor | None = None,
    each: Each = map,
) -> Clusters:
    """Unit centres to which vectors have a large cosine; of several starts the best by the
    objective.

    With more than `SEARCHED` vectors starts are compared on the first ones, and the best goes on
    with all.

    Args:
        vectors: (N, C) float32, any norm but zero; in random order.
        num_clusters: K; if there are fewer vectors than that, the centres behind the first N repeat
            them.
        generators: One per start, on the CPU.
        weights: (N,) float32 weight of every vector; None = one vote each.
        each: As the built-in ``map``; may work on several starts at once.

    Returns:
        The best clustering; the first one on ties.
    """
    unit, votes = (
        F.normalize(vectors, dim=1),
        torch.ones(len(vectors)) if weights is None else weights,
    )
    searched, its_votes, present = unit[:SEARCHED], votes[:SEARCHED], min(num_clusters, len(unit))

    def run(generator: torch.Generator) -> Clusters:
        return lloyd(searched, _start(searched, present, its_votes, generator), its_votes)

    best = max(each(run, generators), key=lambda found: found.objective)
    if len(searched) < len(unit):
        best = lloyd(unit, best.centres, votes)
    repeated = torch.arange(num_clusters) % present
    return Clusters(best.centres[repeated], best.nearest, best.objective)


def _start(unit: Tensor, num_clusters: int, votes: Tensor, generator: torch.Generator) -> Tensor:
    """Greedy k-means++: vectors drawn in proportion to their distance (1 - cosine) to the nearest
    centre so far.
    """
    chosen = [int(torch.multinomial(votes, 1, generator=generator))]
    distance = (1.0 - unit @ unit[chosen[0]]).clamp_min(0.0)
    for _ in range(num_clusters - 1):
        # Not exactly 0, so that a draw is possible even if all vectors are equal.
        drawn = torch.multinomial(
            (distance * votes).clamp_min(1e-12), CANDIDATES, replacement=True, generator=generator
        )
        after = torch.minimum(distance, (1.0 - unit[drawn] @ unit.T).clamp_min(0.0))
        winner = int((after @ votes).argmin())
        chosen.append(int(drawn[winner]))
        distance = after[winner]
    return unit[chosen]


def lloyd(unit: Tensor, centres: Tensor, votes: Tensor, rounds: int = ROUNDS) -> Clusters:
    """Assign and average by turns until no vector changes its cluster; a cluster without vectors
    keeps its centre.

    Args:
        unit: (N, C) float32 unit vectors.
        centres: (K, C) float32 unit vectors to start from.
        votes: (N,) float32 weight of every vector.
        rounds: At most this many.

    Returns:
        The clustering; the smallest cluster id wins ties.
    """
    previous = torch.empty(0, dtype=torch.int64)
    for _ in range(rounds):
        nearest = (unit @ centres.T).max(1).indices
        if torch.equal(nearest, previous):
            break
        sums = torch.zeros_like(centres).index_add_(0, nearest, unit * votes[:, None])
        used = sums.norm(dim=1, keepdim=True) > _VANISHING
        centres, previous = torch.where(used, F.normalize(sums, dim=1), centres), nearest
    best, nearest = (unit @ centres.T).max(1)
    return Clusters(centres, nearest, float(best @ votes) / float(votes.sum()))
