"""Naming proposals, click by click, as `primaps suggest` asks for them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from primaps.naming.suggesting import typical
from primaps.pipeline.classes import default_colours
from primaps.pipeline.evidence import Evidence
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.pipeline.suggesting import (
    RESTARTS,
    SMALL_GROUPS,
    SMALL_RESTARTS,
    group_proposals,
    known_rows,
    uncertain_proposals,
)
from primaps.types import ClassTable, NamedClass


@dataclass(frozen=True)
class Plan:
    """How clicks are divided.

    Attributes:
        groups: How many go to medoids of groups, first of all; 0 = all of them.
        round: Uncertain proposals that are asked for at once, then.
    """

    groups: int
    round: int


def named_by_clicks(
    stored: StoredProposals,
    labels: Sequence[int],
    class_names: Sequence[str],
    clicks: int,
    plan: Plan,
    seed: int,
) -> Evidence:
    """What is known after so many clicks.

    Args:
        stored: All proposals.
        labels: Class id of each, as the person would say.
        class_names: By class id.
        clicks: How many proposals are shown, 1 or more.
        plan: Which ones.
        seed: Of the groups.
    """
    colours = default_colours()
    table = ClassTable(
        1, tuple(NamedClass(each, name, colours[each], ()) for each, name in enumerate(class_names))
    )
    said: dict[tuple[str, int], int] = {}
    evidence = Evidence(table, said, stored, torch.zeros(len(stored.unit), 1))
    first = min(clicks, plan.groups or clicks)
    centres, members = group_proposals(stored, first, seed, RESTARTS)
    asked = typical(stored.unit, stored.areas, centres, members)
    said |= {stored.name(each.row): labels[each.row] for each in asked}
    if len(said) < clicks:
        small = _small_groups(stored, max(SMALL_GROUPS, 2 * clicks), seed)
    while len(said) < clicks:
        number = min(plan.round, clicks - len(said))
        more = uncertain_proposals(evidence, *small, known_rows(evidence), number)
        if not more:
            break
        said |= {stored.name(each.row): labels[each.row] for each in more}
    return evidence


@functools.lru_cache(maxsize=16)
def _small_groups(stored: StoredProposals, groups: int, seed: int) -> tuple[Tensor, Tensor]:
    """The same for all numbers of clicks."""
    return group_proposals(stored, groups, seed, SMALL_RESTARTS)
