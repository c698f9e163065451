"""Where candidate models of a run lie, and what is known of each."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.runs.store import read_json, write_json

CandidateKind: TypeAlias = Literal["names", "split"]

_REMOVED: Final = ".removed-"


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
        back: Id in the run's table of classes that came with it, should it be taken back.
        said: Class id in it by image and proposal, of corrections that do not follow `moves`.
    """

    number: int
    classes: tuple[str, ...]
    moves: Mapping[int, int]
    clicks: int
    fingerprint: str
    kind: CandidateKind = "names"
    back: Mapping[int, int] = field(default_factory=dict)
    said: Mapping[tuple[str, int], int] = field(default_factory=dict)

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
                "back": {str(new): old for new, old in candidate.back.items()},
                "said": [[*key, class_id] for key, class_id in candidate.said.items()],
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
        try:
            return Candidate(
                number,
                tuple(map(str, record["classes"])),
                {int(old): int(new) for old, new in record["moves"].items()},
                record["clicks"],
                record["fingerprint"],
                record.get("kind", "names"),  # older ones say nothing
                {int(new): int(old) for new, old in record.get("back", {}).items()},
                {(image, part): to for image, part, to in record.get("said", ())},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"Expected {path} to be the record of a candidate, but got: {error!r}. Delete the"
                f" folder {path.parent}, and make the candidate anew."
            ) from error

    def remove(self, number: int, accepted: Collection[int]) -> None:
        """Delete a candidate with all its files. It is gone at once; a process that is killed on
        the way leaves a hidden folder, which the next removal deletes.

        Args:
            number: Of the candidate. The run is held by the caller.
            accepted: Numbers of those that took the place of the run's model.

        Raises:
            ConfigError: If there is no such candidate, it is accepted, or an exchange of models
                was stopped halfway.
            OutputError: If it cannot be deleted.
        """
        self.read(number)
        if number in accepted:
            raise ConfigError(
                f"Expected a candidate that is not accepted, but {number} is: the former model of"
                f" the run lies in its folder. Take it back first: primaps accept {self.root}"
                " --back"
            )
        if self.plan.exists():
            raise ConfigError(
                f"Expected no exchange of models under way in {self.root}, but one was stopped"
                " halfway. Run `primaps accept` again first."
            )
        try:
            gone = self.folder / f"{_REMOVED}{number}-{secrets.token_hex(4)}"
            self.of(number).rename(gone)
            for each in self.folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(each)
        except OSError as error:
            raise OutputError(
                f"Expected to be allowed to delete {self.of(number)}, but got: {error}."
            ) from error
