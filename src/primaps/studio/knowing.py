"""What is known of all proposals of a run, kept in memory while people ask for it."""

from __future__ import annotations

import threading
from typing import Any

from primaps.pipeline.alike import alike
from primaps.pipeline.evidence import Evidence, gather, said_of_proposals
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.suggestion_rounds import Plan, Rounds, next_round
from primaps.runs.run import Run


class Knowing:
    """The proposals of a run and what its model makes of them; names are read when they are
    needed. Thread-safe.

    Args:
        run: From `reopen`; it has a model.

    Raises:
        CheckpointError: If there is no model.
        ConfigError: If names or corrections have a mistake; the message names the line.
        DatasetError: If no proposals are stored.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self._lock = threading.Lock()
        self._gather()

    def _gather(self) -> None:
        self._known = gather(self.run)
        self._rounds: dict[int, Rounds] = {}
        self._given: dict[int, list[tuple[str, int]]] = {}

    def alike(self, image: str, proposal: int) -> list[tuple[str, int]]:
        """The proposals that look like one of them, itself first.

        Raises:
            ConfigError: If there is no such proposal.
        """
        with self._lock:
            return alike(self._known.stored, image, proposal)

    def cards(self, number: int, groups: int) -> list[dict[str, Any]]:
        """Proposals to be named; those of earlier rounds that somebody passed over stay out.

        Args:
            number: Of the round.
            groups: Proposals of the first round, or of each later one.

        Raises:
            ConfigError: If names or corrections have a mistake; the message names the line.
        """
        with self._lock:
            evidence = self._evidence()
            if groups not in self._rounds:
                plan = Plan(groups=groups, round=Plan().round)
                self._rounds[groups] = Rounds(evidence.stored, self.run.config.seed, plan)
            asked = [key for each in range(1, number) for key in self._given.get(each, ())]
            found = next_round(self._rounds[groups], evidence, number, asked)
            self._given[number] = [(each.image, each.proposal) for each in found]
        return [each.record() for each in found]

    def _evidence(self) -> Evidence:
        """What was said so far; of a large run, proposals that it is about may have to be read."""
        root = self.run.folder.root
        said = said_of_proposals(root)
        if not {image for image, _ in said} <= set(self._known.stored.images):
            self._gather()
            return self._known
        known, table = self._known, NamedLabels(root).table
        return Evidence(table, said, known.stored, known.logits, known.learnt)
