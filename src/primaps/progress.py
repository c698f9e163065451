"""How long steps tell what they do: an interface that the command line draws and a library call leaves silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of one stage after the other."""

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins; it ends when the next one starts or `finish` is called."""
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

    def start(self, stage: str, total: int) -> None:
        """Ignore it."""

    def advance(self, steps: int = 1) -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""
