"""Where candidate models of a run lie, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from primaps.errors import ConfigError
from primaps.runs.store import read_json, write_json


@dataclass(frozen=True)
class Candidate:
    """A model beside the run's own, to be accepted or not.

    Attributes:
        number: N of ``RUN/candidates/N``.
        classes: What its classes are called, by class id, which are cluster ids too.
        moves: Id of each of these classes in it, by its id in the run's table.
        clicks: Number of proposals that a person named, or said to be of no class.
        fingerprint: Of the model.
        kind: Whether it was fitted with names, or parts a class of the run's model.
    """

    number: int
    classes: tuple[str, ...]
    moves: Mapping[int, int]
    clicks: int
    fingerprint: str
    kind: Literal["names", "split"] = "names"

    def record(self) -> dict[str, Any]:
        """For the record of a run: which classes a person named, and what that took."""
        return {"classes": list(self.classes), "clicks": self.clicks, "candidate": self.number}


@dataclass(frozen=True)
class CandidateFolder:
    """The candidates of a run.

    Attributes:
        root: The run folder.
    """

    root: Path

    @property
    def folder(self) -> Path:
        """All candidates."""
        return self.root / "candidates"

    @property
    def plan(self) -> Path:
        """Of an exchange of models that has begun."""
        return self.folder / "swap.json"

    def of(self, number: int) -> Path:
        """One candidate: ``model/``, ``labels/``, ``classes.yaml``, ``report.html``; once it is
        accepted, those that it took the place of.
        """
        return self.folder / str(number)

    def numbers(self) -> list[int]:
        """Of all that are complete."""
        found = self.folder.glob("*/candidate.json")
        return sorted(int(each.parent.name) for each in found if each.parent.name.isdecimal())

    def next_number(self) -> int:
        """For another one; that of an unfinished candidate is taken again."""
        return max(self.numbers(), default=0) + 1

    def write(self, candidate: Candidate) -> None:
        """Write what is known of a candidate: the sign that it is complete.

        Raises:
            OutputError: If it cannot be written.
        """
        write_json(
            self.of(candidate.number) / "candidate.json",
            {
                "classes": list(candidate.classes),
                "clicks": candidate.clicks,
                "moves": {str(old): new for old, new in candidate.moves.items()},
                "fingerprint": candidate.fingerprint,
                "kind": candidate.kind,
            },
        )

    def read(self, number: int) -> Candidate:
        """What is known of a candidate.

        Raises:
            ConfigError: If there is no such candidate.
            CheckpointError: If its record is damaged.
        """
        path = self.of(number) / "candidate.json"
        if not path.exists():
            known = ", ".join(map(str, self.numbers())) or "none"
            raise ConfigError(
                f"Expected the number of a candidate in {self.folder} ({known}), but got {number}."
                f" Make one: primaps fit {self.root} --with names"
            )
        record = read_json(path)
        moves = {int(old): int(new) for old, new in record["moves"].items()}
        classes = tuple(map(str, record["classes"]))
        clicks, model = record["clicks"], record["fingerprint"]
        kind = record.get("kind", "names")  # older ones say nothing
        return Candidate(number, classes, moves, clicks, model, kind)
