"""How many classes there are, without labels: the cut of a tree of clusters after which merging
costs much more than before, and whose classes are apart.

Two figures say so, and their product is the score of a number. The gain: what the next merge costs,
divided by what the last one cost (relative gap of the heights of the tree). The separation: how
much nearer a proposal is to its own class than to the next one, in [-1, 1] (silhouette: Rousseeuw,
Journal of Computational and Applied Mathematics 1987), mean over classes of their mean. Its
distances are 1 - cosine, which are linear in the vectors, so that means over classes take the place
of all pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import MIN_CLASSES
from primaps.naming.class_tree import ClassTree, grow_tree
from primaps.types import NumberChoice

LARGEST: Final = 2 / 3
"""Numbers up to this share of the clusters are scored: the first merges join pieces of classes, and
the gaps between their heights are chance.
"""
_NOTHING: Final = 1e-9  # costs that do not differ from none


def propose_number(
    vectors: NDArray[np.floating[Any]], clusterings: Sequence[NDArray[np.integer[Any]]]
) -> NumberChoice:
    """The number of classes that proposals divide into best, on average over several clusterings: a
    number that depends on where one started loses.

    Args:
        vectors: (N, C) mean feature of every proposal, of any norm but zero.
        clusterings: 1 or more; (N,) cluster of every proposal, of more clusters than classes are
            expected.

    Returns:
        The number with the largest mean score, the smallest one on ties, and the scores of all
        numbers from 2 to `LARGEST` of that of the clusters; 2 where there are none.
    """
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = [_scores(unit, nearest) for nearest in clusterings]
    scored = zip(*found, strict=False)  # numbers that all of them have
    curve = [(number, float(np.mean(each))) for number, each in enumerate(scored, MIN_CLASSES)]
    best = max(curve, key=lambda each: (each[1], -each[0]), default=(MIN_CLASSES, 0.0))
    return NumberChoice(best[0], tuple(curve))


def _scores(unit: NDArray[np.floating[Any]], nearest: NDArray[np.integer[Any]]) -> list[float]:
    """Scores of 2, 3, ... classes from one clustering; ids without proposals do not count."""
    used, cluster = np.unique(nearest, return_inverse=True)
    member = np.eye(len(used))[cluster]
    sums, sizes = member.T @ unit, member.sum(axis=0)
    tree, cosines = grow_tree(sums, sizes), unit @ sums.T
    scores: list[float] = []
    for number in range(MIN_CLASSES, min(int(LARGEST * len(used)), len(used) - 1) + 1):
        group = np.empty(len(used), dtype=np.int64)
        for row, clusters in enumerate(tree.cut(number)):
            group[list(clusters)] = row
        joined = np.eye(number)[group]
        apart = separation(cosines @ joined, sizes @ joined, group[cluster])
        scores.append(_gain(tree, number) * apart)
    return scores


def _gain(tree: ClassTree, number: int) -> float:
    """What merging so many groups further costs, by what the merge that made them did."""
    last = tree.num_clusters - number - 1
    before, after = (max(each.height, _NOTHING) for each in tree.merges[last : last + 2])
    return after / before


def separation(
    sums: NDArray[np.floating[Any]],
    sizes: NDArray[np.floating[Any]],
    own: NDArray[np.integer[Any]],
) -> float:
    """Mean over classes of the mean silhouette of their members; 0 for a class of one member.

    Args:
        sums: (N, K) sum of the cosines of every member to those of every class, itself included.
        sizes: (K,) members of every class, 1 or more; K is 2 or more.
        own: (N,) class of every member.
    """
    rows = np.arange(len(own))
    apart = 1.0 - sums / sizes
    others = np.maximum(sizes[own] - 1, 1)
    inside = np.maximum(1.0 - (sums[rows, own] - 1.0) / others, 0.0)
    apart[rows, own] = np.inf
    next_one = np.maximum(apart.min(axis=1), 0.0)
    values = (next_one - inside) / np.maximum(np.maximum(inside, next_one), 1e-12)
    values = np.where(sizes[own] > 1, values, 0.0)
    return float((np.bincount(own, values, len(sizes)) / sizes).mean())
