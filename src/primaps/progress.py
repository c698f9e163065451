"""How long steps tell what they do: an interface that the command line draws and a library call
leaves silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one stage after the other."""

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """A job of these stages begins.

        A part of a stage is named ``stage: part``.

        Args:
            stages: Their names, in order.
            kind: Jobs of one kind take equally long per image on one machine; empty = nothing is
                known to be alike.
            images: Images that all stages still have to do; 0 = some are partly done, so that
                durations say nothing.
        """
        ...

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins, ``done`` of which an earlier run did.

        It ends when the next one starts or `finish` is called.
        """
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps of the present stage are done."""
        ...

    def finish(self) -> None:
        """The present stage is over."""
        ...

    def note(self, message: str) -> None:
        """Something the user should know."""
        ...


class Silent:
    """Says nothing."""

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """Ignore it."""

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """Ignore it."""

    def advance(self, steps: int = 1) -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""
