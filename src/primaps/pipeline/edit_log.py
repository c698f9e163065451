"""What was done to the names of a folder in the studio, step by step: ``edits.jsonl``.

A line says what was done, in words, and how names and corrections were before and after; the names
themselves are in ``classes-history``, what was said in ``corrections.jsonl``. From the lines
follows what can be taken back, and done again.

A change has several files. So it is written down as a whole before anything else is written, in
``edits-pending.json``; whoever comes next finishes it, should its writer have been killed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from primaps.errors import CheckpointError
from primaps.runs.named_files import NamedFolder
from primaps.runs.records import check_record, is_mapping, is_truth
from primaps.runs.store import atomic_write, read_json, remove_file, write_json

Kind: TypeAlias = Literal["begin", "edit", "outside", "undo", "redo"]
"""``begin``: where the list starts; ``outside``: somebody changed a file without the studio."""

_KNOWN_LINES: Final = 20_000
"""Lines that are kept as they were read: the file grows by one, and is read at every click."""

_CHANGE: Final = {
    "step": is_mapping,
    "classes": lambda value: isinstance(value, str),
    "lines": lambda value: isinstance(value, str),
    "names_first": is_truth,
}
_KINDS: Final = ("begin", "edit", "outside", "undo", "redo")


@dataclass(frozen=True)
class Stand:
    """How names and corrections are at some time.

    Attributes:
        names: Number of ``classes.yaml`` in the history.
        names_sum: Checksum of its text.
        said: Length of ``corrections.jsonl`` in characters.
        said_sum: Checksum of its text.
        model: Fingerprint of the model whose clusters are named.
    """

    names: int
    names_sum: str
    said: int
    said_sum: str
    model: str | None

    def same(self, other: Stand) -> bool:
        """Whether both files are the same; the number in the history may be another one."""
        return self._sums() == other._sums()

    def _sums(self) -> tuple[str, str, str | None]:
        return self.names_sum, self.said_sum, self.model


@dataclass(frozen=True)
class Step:
    """One line.

    Attributes:
        number: From 0, which is where the list begins; it is the revision as well.
        kind: What sort of step.
        words: What was done.
        before: How it was.
        after: How it is since.
        barrier: Why the step cannot be taken back; empty = it can.
    """

    number: int
    kind: Kind
    words: str
    before: Stand
    after: Stand
    barrier: str = ""


@dataclass
class EditLog:
    """All steps of a folder.

    Attributes:
        steps: In order; at least the beginning.
        done: Those that can be taken back, the next one last.
        undone: Those that can be done again, the next one last.
    """

    steps: list[Step] = field(default_factory=list)
    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)

    @property
    def revision(self) -> int:
        """Grows with every step."""
        return self.steps[-1].number

    def add(self, step: Step) -> None:
        """Put a step at the end."""
        self.steps.append(step)
        if step.kind == "undo":
            self.undone.append(self.done.pop())
        elif step.kind == "redo":
            self.done.append(self.undone.pop())
        elif step.kind != "begin":
            self.done.append(step)
            self.undone.clear()

    def undoable(self) -> Step | None:
        """What would be taken back."""
        return self.done[-1] if self.done and not self.done[-1].barrier else None

    def redoable(self) -> Step | None:
        """What would be done again."""
        return self.undone[-1] if self.undone else None


@dataclass(frozen=True)
class EditFiles:
    """Where the steps of a folder lie. All but `checksum` only under the lock of its names.

    Attributes:
        named: The folder.
    """

    named: NamedFolder

    @property
    def log(self) -> Path:
        """The steps."""
        return self.named.root / "edits.jsonl"

    @property
    def pending(self) -> Path:
        """A change that is being written."""
        return self.named.root / "edits-pending.json"

    def read(self) -> EditLog:
        """The steps so far.

        Raises:
            CheckpointError: If the file cannot be read, or a line is none of ours.
        """
        found = EditLog()
        try:
            text = self.log.read_bytes().decode("utf-8")
            for line in text.splitlines():
                found.add(_line_step(line))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise CheckpointError(
                f"Expected {self.log} to hold the steps of the studio, but got: {error}. Move the"
                " file away; then names stay as they are, and former ones are in classes-history."
            ) from error
        return found

    def append(self, log: EditLog, step: Step) -> None:
        """Put a step at the end, in one piece.

        Args:
            log: The steps so far, which grow too.
            step: The next one.

        Raises:
            OutputError: If it cannot be written.
        """
        former = self.log.read_bytes() if self.log.exists() else b""
        line = json.dumps(dataclasses.asdict(step), ensure_ascii=True)
        atomic_write(self.log, former + line.encode("ascii") + b"\n")
        log.add(step)

    def stand(self, model: str | None) -> Stand:
        """How names and corrections are now; the names are put into the history.

        Raises:
            ConfigError: If one is no UTF-8.
            OutputError: If the history cannot be written.
        """
        names, said = self.named.read_classes() or "", self.named.read_corrections()
        number = self.named.remember_classes()
        return Stand(number, checksum(names), len(said), checksum(said), model)

    def begin(self, step: Step, text: str, lines: str, *, names_first: bool) -> None:
        """Write down a change before it is made.

        Args:
            step: Its step; the number of its new names in the history is not known yet.
            text: The new names.
            lines: To be put at the end of the corrections.
            names_first: The lines need the new names; otherwise they are written first.

        Raises:
            OutputError: If it cannot be written.
        """
        record = {
            "step": dataclasses.asdict(step),
            "classes": text,
            "lines": lines,
            "names_first": names_first,
        }
        write_json(self.pending, record)

    def finish(self) -> None:
        """Make the change that was written down, from wherever it was left; nothing happens if
        there is none. If somebody changed a file since, that stays, and the change is dropped.

        Raises:
            CheckpointError: If what was written down is damaged.
            OutputError: If something cannot be written.
        """
        if not self.pending.exists():
            return
        record = read_json(self.pending)
        advice = "Delete the file; then names stay as they are."
        check_record(record, _CHANGE, self.pending, advice, tuple(_CHANGE))
        try:
            step = _step(record["step"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"Expected {self.pending} to hold a step, but got: {error!r}. {advice}"
            ) from error
        log = self.read()
        if log.steps and log.revision < step.number and self._is_between(step):
            if record["names_first"]:
                self.named.write_classes(record["classes"])
            if checksum(self.named.read_corrections()) != step.after.said_sum:
                self.named.append_corrections(record["lines"])
            self.named.write_classes(record["classes"])
            after = dataclasses.replace(step.after, names=self.named.remember_classes())
            self.append(log, dataclasses.replace(step, after=after))
        remove_file(self.pending)

    def _is_between(self, step: Step) -> bool:
        """Whether each of the files is as before or after a step."""
        names, said = self.named.read_classes() or "", self.named.read_corrections()
        return checksum(names) in {step.before.names_sum, step.after.names_sum} and checksum(
            said
        ) in {step.before.said_sum, step.after.said_sum}


def checksum(text: str) -> str:
    """Of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@functools.lru_cache(maxsize=_KNOWN_LINES)
def _line_step(line: str) -> Step:
    return _step(json.loads(line))


def _step(record: Mapping[str, Any]) -> Step:
    if record["kind"] not in _KINDS:
        raise ValueError(f"Unknown kind {record['kind']!r}")
    stands = {key: Stand(**record[key]) for key in ("before", "after")}
    return Step(**{**record, **stands})
