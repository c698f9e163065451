"""Names for the clusters of another fit: carried over where the label maps agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.naming.table import Colour, checked_table, is_touched
from primaps.types import IGNORE_INDEX, ClassTable, NamedClass

MIN_SHARE: Final = 0.5
"""A new cluster goes to the class that held at least this share of its pixels before."""


@dataclass(frozen=True)
class Carried:
    """A table for the new clusters.

    Attributes:
        table: The classes: all that a person had touched, and one for each cluster that none of
            them held.
        found: (class, new cluster, share of the cluster's pixels that the class held before), for
            each cluster that was carried over.
        waiting: (class, the cluster it held most of, that share) for each class that had clusters
            and has none now; cluster None if it held nothing.
    """

    table: ClassTable
    found: tuple[tuple[NamedClass, int, float], ...]
    waiting: tuple[tuple[NamedClass, int | None, float], ...]


def carry_over(
    former: ClassTable, overlap: NDArray[np.int64], colours: Sequence[Colour], keep: set[int]
) -> Carried:
    """Give the clusters of a new fit to the classes of the former one.

    Args:
        former: The classes of the former clusters.
        overlap: (K, L) pixels or tokens that the former fit gave to cluster k and the new one to
            cluster l; zeros if that is not known.
        colours: 255 colours by class id, for new classes.
        keep: Ids of further classes that stay, those that corrections name.

    Returns:
        The table of the new clusters, and what could be carried over.
    """
    stay = [each for each in former.classes if is_touched(each) or each.id in keep]
    share = np.zeros((len(stay), overlap.shape[1]))
    for row, each in enumerate(stay):
        share[row] = overlap[list(each.clusters)].sum(axis=0) / overlap.sum(axis=0).clip(1)
    found: list[tuple[NamedClass, int, float]] = []
    clusters: dict[int, list[int]] = {each.id: [] for each in stay}
    free: list[int] = []
    for cluster in range(overlap.shape[1]):
        best = int(share[:, cluster].argmax()) if stay else -1
        if best >= 0 and share[best, cluster] >= MIN_SHARE:
            clusters[stay[best].id].append(cluster)
            found.append((stay[best], cluster, float(share[best, cluster])))
        else:
            free.append(cluster)
    kept = [dataclasses.replace(each, clusters=tuple(clusters[each.id])) for each in stay]
    table = checked_table(overlap.shape[1], [*kept, *_unnamed(free, kept, colours)])
    waiting = [
        (each, int(row.argmax()) if row.any() else None, float(row.max()))
        for each, row in zip(stay, share, strict=True)
        if each.clusters and not clusters[each.id]
    ]
    return Carried(table, tuple(found), tuple(waiting))


def _unnamed(
    clusters: Sequence[int], taken: Sequence[NamedClass], colours: Sequence[Colour]
) -> list[NamedClass]:
    """A class per cluster, with its id where that is free; clusters for which no id is left belong
    to none.
    """
    used = {each.id for each in taken}
    made: list[NamedClass] = []
    # those that can have their own number first
    for cluster in sorted(clusters, key=lambda each: each in used):
        number = next((each for each in (cluster, *range(IGNORE_INDEX)) if each not in used), None)
        if number is not None:
            used.add(number)
            made.append(NamedClass(number, None, colours[number], (cluster,)))
    return made
