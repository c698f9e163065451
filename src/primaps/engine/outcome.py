"""What became of a command."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from primaps.types import Failure


@dataclass(frozen=True)
class Outcome:
    """What became of a command.

    Attributes:
        out: Where outputs are, as the user said it.
        sharded: Whether they are shards.
        failures: Inputs that could not be used.
    """

    out: str
    sharded: bool
    failures: tuple[Failure, ...]

    def at(self, name: str) -> str:
        """Path or URL of something in it."""
        return f"{self.out.rstrip('/')}/{name}" if "://" in self.out else str(Path(self.out) / name)
