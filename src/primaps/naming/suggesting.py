"""Which proposals a person should name first: those whose names say most about all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


@dataclass(frozen=True)
class Suggestion:
    """One proposal to be named.

    Attributes:
        row: Its number among all proposals.
        group: The group it stands for.
        share: Fraction of the area of all proposals that its group has, in [0, 1].
        why: ``group``: of all groups one each; ``uncertain``: a small one that a model is uncertain
            of.
    """

    row: int
    group: int
    share: float
    why: Literal["group", "uncertain"]


def typical(unit: Tensor, areas: Tensor, centres: Tensor, groups: Tensor) -> tuple[Suggestion, ...]:
    """The medoid of every group: the proposal most similar to its centre.

    Args:
        unit: (M, C) float32 unit features of all proposals.
        areas: (M,) float32 their areas.
        centres: (G, C) float32 unit centres.
        groups: (M,) int64 group of every proposal.

    Returns:
        One for each group that has proposals, the largest group first.
    """
    shares = group_shares(areas, groups, len(centres))
    found = [
        Suggestion(row, group, float(shares[group]), "group")
        for group, row in medoids(unit, centres, groups).items()
    ]
    return tuple(sorted(found, key=lambda each: (-each.share, each.group)))


def doubtful(
    unit: Tensor,
    areas: Tensor,
    centres: Tensor,
    groups: Tensor,
    certainty: Tensor,
    known: Sequence[int],
    number: int,
) -> tuple[Suggestion, ...]:
    """The proposals by which most doubt would end: medoids of small groups.

    One after the other, that of the group with the largest product of doubt, the sum over its
    proposals of 1 - certainty times the square root of the area, and distance (1 - cosine) to all
    that are known or taken. Single odd proposals hence do not count for much.

    Args:
        unit: (M, C) float32 unit features of all proposals.
        areas: (M,) float32 their areas.
        centres: (G, C) float32 unit centres of groups, several times as many as are taken.
        groups: (M,) int64 group of every proposal.
        certainty: (M,) float32 in [0, 1], how certain a model is of each.
        known: Rows that have names, or are suggested already.
        number: How many to take.

    Returns:
        As many as there are, the one by which most doubt would end first.
    """
    shares = group_shares(areas, groups, len(centres))
    doubt = torch.zeros(len(centres)).index_add_(0, groups, (1.0 - certainty) * areas.sqrt())
    by_group = medoids(unit, centres, groups)
    present, rows = list(by_group), torch.tensor(list(by_group.values()), dtype=torch.int64)
    value = doubt[present] * ~torch.isin(rows, torch.tensor(list(known), dtype=torch.int64))
    distance = torch.ones(len(rows))
    if known:
        distance = (1.0 - unit[rows] @ unit[list(known)].T).amin(1).clamp_min(0.0)
    found: list[Suggestion] = []
    for _ in range(min(number, len(rows))):
        best = int((value * distance).argmax())
        if float(value[best]) <= 0:
            break
        group = present[best]
        found.append(Suggestion(int(rows[best]), group, float(shares[group]), "uncertain"))
        distance = torch.minimum(distance, (1.0 - unit[rows] @ unit[rows[best]]).clamp_min(0.0))
        value[best] = 0.0
    return tuple(found)


def medoids(unit: Tensor, centres: Tensor, groups: Tensor) -> dict[int, int]:
    """The row most similar to the centre of each group that has proposals, by group."""
    cosines = (unit * centres[groups]).sum(1)
    order = torch.argsort(cosines, stable=True)  # the last one of each group stays
    found = dict(zip(groups[order].tolist(), order.tolist(), strict=True))
    return dict(sorted(found.items()))


def group_shares(areas: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """(G,) float32 fraction of the area of all proposals that each group has."""
    sums = torch.zeros(num_groups).index_add_(0, groups, areas)
    return sums / areas.sum().clamp_min(1e-9)
