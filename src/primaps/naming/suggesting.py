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
        group: The group it belongs to.
        share: Fraction of the area of all proposals that its group has, in [0, 1].
        why: It stands for its ``group``, or the model is ``uncertain`` of it.
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
    cosines = (unit * centres[groups]).sum(1)
    shares = group_shares(areas, groups, len(centres))
    found = []
    for group in groups.bincount().nonzero().flatten().tolist():
        members = (groups == group).nonzero().flatten()
        row = int(members[cosines[members].argmax()])
        found.append(Suggestion(row, group, float(shares[group]), "group"))
    return tuple(sorted(found, key=lambda each: (-each.share, each.group)))


def doubtful(
    unit: Tensor,
    areas: Tensor,
    groups: Tensor,
    certainty: Tensor,
    known: Sequence[int],
    number: int,
) -> tuple[Suggestion, ...]:
    """The proposals that a model is least certain of, no two alike.

    One after the other, the one with the largest product of doubt (1 - certainty), distance
    (1 - cosine) to all that are known or taken, and square root of the area.

    Args:
        unit: (M, C) float32 unit features of all proposals.
        areas: (M,) float32 their areas.
        groups: (M,) int64 group of every proposal.
        certainty: (M,) float32 in [0, 1], how certain the model is of each.
        known: Rows that have names, or are suggested already.
        number: How many to take.

    Returns:
        As many as there are, the most doubtful first.
    """
    shares = group_shares(areas, groups, int(groups.max()) + 1)
    doubt = (1.0 - certainty) * areas.sqrt()
    distance = torch.ones(len(unit))
    if known:
        distance = (1.0 - unit @ unit[list(known)].T).amin(1).clamp_min(0.0)
    found: list[Suggestion] = []
    for _ in range(number):
        value = doubt * distance
        row = int(value.argmax())
        if float(value[row]) <= 0:
            break
        group = int(groups[row])
        found.append(Suggestion(row, group, float(shares[group]), "uncertain"))
        distance = torch.minimum(distance, (1.0 - unit @ unit[row]).clamp_min(0.0))
        distance[row] = 0.0
    return tuple(found)


def group_shares(areas: Tensor, groups: Tensor, num_groups: int) -> Tensor:
    """(G,) float32 fraction of the area of all proposals that each group has."""
    sums = torch.zeros(num_groups).index_add_(0, groups, areas)
    return sums / areas.sum().clamp_min(1e-9)
