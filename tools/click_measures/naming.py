"""Naming proposals, click by click, as the studio asks for them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from primaps.pipeline.classes import default_colours
from primaps.pipeline.evidence import Evidence
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.pipeline.suggestion_rounds import Plan, Rounds
from primaps.types import ClassTable, NamedClass


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
        plan: Which ones; 0 groups = all of them are medoids of groups.
        seed: Of the groups.
    """
    colours = default_colours()
    table = ClassTable(
        1, tuple(NamedClass(each, name, colours[each], ()) for each, name in enumerate(class_names))
    )
    said: dict[tuple[str, int], int] = {}
    evidence = Evidence(table, said, stored, torch.zeros(len(stored.unit), 1))
    rounds = _rounds(stored, Plan(min(clicks, plan.groups or clicks), plan.round), seed)
    said |= {stored.name(each.row): labels[each.row] for each in rounds.first()}
    while len(said) < clicks:
        more = rounds.next(evidence, number=min(plan.round, clicks - len(said)))
        if not more:
            break
        said |= {stored.name(each.row): labels[each.row] for each in more}
    return evidence


@functools.lru_cache(maxsize=4)
def _rounds(stored: StoredProposals, plan: Plan, seed: int) -> Rounds:
    """The same for all numbers of clicks."""
    return Rounds(stored, seed, plan)
