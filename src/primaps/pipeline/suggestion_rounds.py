"""Which proposals to name, in rounds: first one of each group, then a few that the names so far say
least about, again and again.

So does the studio ask, and so does ``tools/measure_clicks.py`` measure what clicks are worth.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

import torch
from torch import Tensor

from primaps.errors import ConfigError
from primaps.naming.suggesting import Suggestion, typical
from primaps.pipeline.evidence import Evidence
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.pipeline.suggesting import (
    MOST,
    RESTARTS,
    SMALL_GROUPS,
    SMALL_RESTARTS,
    group_proposals,
    known_rows,
    learnt_scores,
    uncertain_proposals,
)
from primaps.types import IGNORE_INDEX


@dataclass(frozen=True)
class Plan:
    """How names are asked for.

    Attributes:
        groups: How many proposals are medoids of groups, first of all.
        round: Uncertain proposals that are asked for at once, then.
    """

    groups: int = 15
    round: int = 10


PLAN: Final = Plan()
"""Measured as the best of several: fifteen medoids, then ten uncertain ones at a time."""


@dataclass(frozen=True)
class Card:
    """One proposal that a person is asked for.

    Attributes:
        image: Name of the image in the run.
        proposal: Id of the proposal in it.
        share: Fraction of the area of all proposals that its group has, in [0, 1].
        why: Whether it stands for a group, or a model is uncertain of it.
        opinion: Class id that the names so far, or else the present model, give it; None = none.
        said: Class id that a person gave it; `IGNORE_INDEX` = of no class; None = nothing yet.
    """

    image: str
    proposal: int
    share: float
    why: Literal["group", "uncertain"]
    opinion: int | None
    said: int | None

    def record(self) -> dict[str, Any]:
        """JSON-ready, as the studio sends it."""
        return {
            "image": self.image,
            "proposal": self.proposal,
            "share": self.share,
            "why": self.why,
            "class": self.opinion,
            "said": self.said,
        }


class Rounds:
    """The rounds of a run. Groups are found once and kept.

    Args:
        stored: All proposals.
        seed: Of the groups.
        plan: How names are asked for.

    Raises:
        ConfigError: If the plan is out of range.
    """

    def __init__(self, stored: StoredProposals, seed: int, plan: Plan = PLAN) -> None:
        if not 1 <= plan.groups <= MOST or not 1 <= plan.round <= MOST:
            raise ConfigError(
                f"Expected 1..{MOST} groups and proposals a round, but got {plan.groups} and"
                f" {plan.round}."
            )
        self.stored, self.seed, self.plan = stored, seed, plan
        self._first: tuple[Suggestion, ...] | None = None
        self._small: dict[int, tuple[Tensor, Tensor]] = {}

    def first(self) -> tuple[Suggestion, ...]:
        """The first round: medoids of groups, the largest group first."""
        if self._first is None:
            stored = self.stored
            centres, members = group_proposals(stored, self.plan.groups, self.seed, RESTARTS)
            self._first = typical(stored.unit, stored.areas, centres, members)
        return self._first

    def next(
        self, evidence: Evidence, asked: Collection[int] = (), number: int | None = None
    ) -> tuple[Suggestion, ...]:
        """A further round: proposals that the names so far say least about.

        Args:
            evidence: What was said so far, of these proposals.
            asked: Numbers of proposals that were shown and are not shown again, beside those of
                the first round and those that something was said of.
            number: How many; None = as the plan says.
        """
        number = self.plan.round if number is None else number
        known = {*known_rows(evidence), *asked, *(each.row for each in self.first())}
        small = SMALL_GROUPS
        while small < min(2 * (len(known) + number), len(self.stored.unit)):
            small *= 2
        return uncertain_proposals(evidence, *self.small_groups(small), known, number)

    def small_groups(self, number: int = SMALL_GROUPS) -> tuple[Tensor, Tensor]:
        """(G, C) float32 unit centres of small groups, and (M,) int64 group of every proposal."""
        if number not in self._small:
            found = group_proposals(self.stored, number, self.seed, SMALL_RESTARTS)
            self._small[number] = found
        return self._small[number]


def next_round(
    rounds: Rounds, evidence: Evidence, round_number: int, asked: Collection[tuple[str, int]] = ()
) -> list[Card]:
    """The cards of a round.

    Args:
        rounds: Of the run.
        evidence: What was said so far.
        round_number: 0 = the first one; all others depend on what was said.
        asked: Image and proposal of cards that were shown in further rounds and passed over.

    Raises:
        ConfigError: If there is no such round.
    """
    if isinstance(round_number, bool) or round_number < 0:
        raise ConfigError(f"Expected a round from 0 on, but got {round_number!r}.")
    if round_number == 0:
        chosen = rounds.first()
    else:
        index = rounds.stored.rows()
        chosen = rounds.next(evidence, [index[each] for each in asked if each in index])
    return cards(evidence, chosen)


def cards(evidence: Evidence, chosen: Collection[Suggestion]) -> list[Card]:
    """What was said of proposals, and what the names so far make of them.

    Args:
        evidence: What was said so far.
        chosen: The proposals.
    """
    if not chosen:
        return []
    rows = torch.tensor([each.row for each in chosen])
    best = learnt_scores(evidence)[rows].max(1).indices.tolist()
    if len(evidence.classes()) > 1:
        opinions = [evidence.classes()[each].id for each in best]
    else:
        opinions = evidence.table.cluster_to_class()[best].tolist()
    found = []
    for each, opinion in zip(chosen, opinions, strict=True):
        image, proposal = evidence.stored.name(each.row)
        said = evidence.said.get((image, proposal))
        known = None if opinion == IGNORE_INDEX else opinion
        found.append(Card(image, proposal, each.share, each.why, known, said))
    return found
