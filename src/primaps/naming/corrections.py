"""What a person said of single proposals, as a list that only grows: ``corrections.jsonl``.

A line says "proposal 7 of a.jpg is class 3"; another one takes a line back. Nothing is changed or
deleted, so that every state of the list can be had again.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.naming.regions import Region, map_checksum, region_from, region_record, regions_of
from primaps.naming.table import find_class
from primaps.types import IGNORE_INDEX, ClassTable

UNLABELLED: Final = IGNORE_INDEX
"""As the class of a correction: the proposal counts as unlabelled."""

_KEYS: Final = (
    "id",
    "image",
    "proposal",
    "class",
    "photo",
    "map",
    "point",
    "region",
    "source",
    "undo",
)

_KNOWN_LINES: Final = 20_000
"""Lines that are kept as they were read: the file grows by some, and is read at every click."""


@dataclass(frozen=True)
class Correction:
    """One proposal of one photograph is of a class.

    Attributes:
        id: Number of the line in the list's own count, from 1.
        image: Name of the image in the run.
        proposal: Id of the proposal, from 1, in the map it was said of.
        class_id: Id or name of the class; `UNLABELLED` = none.
        photo: SHA-256 of the photograph's file; None = a line written by hand, which means whatever
            is there.
        map: Checksum of the map of proposals, see `primaps.naming.regions.map_checksum`; likewise.
        point: (x, y) of a pixel inside the proposal.
        region: The proposal itself, by which it is found again in another map.
        source: Who says so, if not a person by hand.
    """

    id: int
    image: str
    proposal: int
    class_id: int | str
    photo: str | None = None
    map: str | None = None
    point: tuple[int, int] | None = None
    region: Region | None = None
    source: str = ""


@dataclass(frozen=True)
class Undo:
    """An earlier line is taken back.

    Attributes:
        id: Number of this line.
        undoes: That of the other one: a correction, or an undo, whose target then counts again.
    """

    id: int
    undoes: int


@dataclass(frozen=True)
class Journal:
    """All lines, in order.

    Attributes:
        entries: Corrections and undos.
        where: Path of the file, for messages.
        lines: On which line of the file each entry stands, from 1.
    """

    entries: tuple[Correction | Undo, ...] = ()
    where: str = "corrections.jsonl"
    lines: tuple[int, ...] = ()

    @property
    def next_id(self) -> int:
        """For the next line."""
        return max((entry.id for entry in self.entries), default=0) + 1

    def active(self) -> tuple[Correction, ...]:
        """The corrections that count: not taken back, and none said later of the same proposal."""
        undone = self._undone()
        latest: dict[tuple[str, str | None, int], Correction] = {}
        for entry in self.entries:
            if isinstance(entry, Correction) and entry.id not in undone:
                latest.pop(_subject(entry), None)  # the order is that of the last word
                latest[_subject(entry)] = entry
        return tuple(latest.values())

    def _undone(self) -> set[int]:
        """Ids of the lines that are taken back."""
        undone: set[int] = set()
        for entry in reversed(self.entries):
            if isinstance(entry, Undo) and entry.id not in undone:
                undone.add(entry.undoes)
        return undone

    def lines_towards(self, wanted: Collection[int]) -> list[Undo]:
        """The lines after which other corrections count: later words are taken back, and words
        that were taken back are said again by taking back what took them back.

        Args:
            wanted: Ids of the corrections that shall count; of each proposal one at most.
        """
        undone, passed = self._undone(), set[tuple[str, str | None, int]]()
        undos: dict[int, list[int]] = {}
        for entry in self.entries:
            if isinstance(entry, Undo) and entry.id not in undone:
                undos.setdefault(entry.undoes, []).append(entry.id)
        targets: list[int] = []
        for entry in reversed(self.entries):
            if not isinstance(entry, Correction) or _subject(entry) in passed:
                continue
            if entry.id in wanted:
                passed.add(_subject(entry))
                targets += undos.get(entry.id, [])
            elif entry.id not in undone:
                targets.append(entry.id)
        return [Undo(self.next_id + number, each) for number, each in enumerate(targets)]

    def last_undoable(self) -> int:
        """Id of the last correction that counts.

        Raises:
            ConfigError: If there is none.
        """
        found = max((entry.id for entry in self.active()), default=None)
        if found is None:
            raise ConfigError("Expected a correction to take back, but there is none.")
        return found

    def place(self, number: int) -> str:
        """Where an entry stands, for messages: path and line."""
        for entry, line in zip(self.entries, self.lines, strict=True):
            if entry.id == number:
                return f"{self.where}, line {line}"
        return self.where


def _subject(entry: Correction) -> tuple[str, str | None, int]:
    """What a correction speaks of."""
    return entry.image, entry.map, entry.proposal


def make_corrections(
    number: int,
    image: str,
    said: Sequence[tuple[int, int]],
    photo: str,
    proposals: NDArray[np.integer[Any]],
    source: str = "",
) -> list[Correction]:
    """Corrections of proposals of one image.

    Args:
        number: Of the first one, see `Journal.next_id`.
        image: Name of the image.
        said: Id of each proposal, and of its class, or `UNLABELLED`.
        photo: SHA-256 of the photograph's file.
        proposals: (H, W) ids of the proposals, at the photograph's own size.
        source: Who says so, if not a person by hand.

    Raises:
        ConfigError: If there is no such proposal.
    """
    try:
        regions = regions_of(proposals, [proposal for proposal, _ in said])
    except ConfigError as error:
        raise ConfigError(f"{image}: {error}") from error
    checksum = map_checksum(proposals)
    found = []
    for place, (proposal, class_id) in enumerate(said):
        region, point = regions[proposal]
        found.append(
            Correction(
                number + place, image, proposal, class_id, photo, checksum, point, region, source
            )
        )
    return found


def moved_corrections(
    journal: Journal, former: ClassTable, table: ClassTable, moves: Mapping[int, int]
) -> list[Correction]:
    """New lines for corrections that would mean another class, or none, in a changed table.

    Args:
        journal: The lines so far.
        former: The classes they are about.
        table: The new classes.
        moves: Id of a class that is gone to that of the one it lives on in.

    Raises:
        ConfigError: If a correction names a class that the former table lacks.
    """
    moved: list[Correction] = []
    words = {each.id: each.class_id for each in journal.active()}
    for entry in resolve(journal, former):
        target = moves.get(int(entry.class_id), entry.class_id)
        said = words[entry.id]
        if target != entry.class_id or (isinstance(said, str) and _id(table, said) != target):
            number = journal.next_id + len(moved)
            moved.append(dataclasses.replace(entry, id=number, class_id=target))
    return moved


def _id(table: ClassTable, name: str) -> int | None:
    return next((each.id for each in table.classes if each.name == name), None)


def resolve(journal: Journal, table: ClassTable) -> tuple[Correction, ...]:
    """The corrections that count, with class ids that the table has.

    Raises:
        ConfigError: If the table lacks a class; the message names the line and what to do.
    """
    found = []
    ids: dict[int | str, int] = {UNLABELLED: UNLABELLED}
    for entry in journal.active():
        try:
            if entry.class_id not in ids:
                ids[entry.class_id] = find_class(table, entry.class_id).id
            known = ids[entry.class_id]
            same = entry.class_id == known
            found.append(entry if same else dataclasses.replace(entry, class_id=known))
        except ConfigError as error:
            raise ConfigError(
                f"{journal.place(entry.id)}: {error} Put the class back into classes.yaml"
                " (former versions are in classes-history), or add"
                f' the line {{"id": {journal.next_id}, "undo": {entry.id}}}.'
            ) from error
    return tuple(found)


def parse_corrections(text: str, where: str) -> Journal:
    """Read ``corrections.jsonl``.

    Args:
        text: Its content.
        where: Its path, for messages.

    Raises:
        ConfigError: If a line is no correction and no undo; the message names the line and what to
            do.
    """
    entries: list[Correction | Undo] = []
    lines: list[int] = []
    known: set[int] = set()
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            entry = _checked_entry(content, known)
        except ConfigError as error:
            raise ConfigError(f"{where}, line {line}: {error} Mend or delete the line.") from error
        known.add(entry.id)
        entries.append(entry)
        lines.append(line)
    return Journal(tuple(entries), where, tuple(lines))


def _checked_entry(content: str, known: set[int]) -> Correction | Undo:
    """An entry that goes with the ids of those before it."""
    entry = _entry(content)
    if entry.id in known:
        raise ConfigError(
            f"Expected ids that occur once, but got {entry.id} again. Take {max(known) + 1}."
        )
    if isinstance(entry, Undo) and entry.undoes not in known:
        raise ConfigError(f"Expected the id of an earlier line to undo, but got {entry.undoes}.")
    return entry


@functools.lru_cache(maxsize=_KNOWN_LINES)
def _entry(content: str) -> Correction | Undo:
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"Expected JSON, but got: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"Expected a JSON object, but got {content.strip()[:60]!r}.")
    for key in values:
        if key not in _KEYS:
            raise ConfigError(
                f"Unknown key {key!r}.{did_you_mean(key, _KEYS)} Known: {', '.join(_KEYS)}."
            )
    number = _number(values, "id", 1)
    if "undo" in values:
        return Undo(number, _number(values, "undo", 1))
    image = values.get("image")
    if not isinstance(image, str) or not image:
        raise ConfigError(f"Expected image to be the name of an image, but got {image!r}.")
    class_id = values.get("class")
    if not isinstance(class_id, str) or not class_id:
        class_id = _number(values, "class", 0)
    for key in ("photo", "map", "source"):
        if not isinstance(values.get(key, ""), str):
            raise ConfigError(f"Expected {key} to be text, but got {values[key]!r}.")
    return Correction(
        number,
        image,
        _number(values, "proposal", 1),
        class_id,
        values.get("photo"),
        values.get("map"),
        _point(values),
        region_from(values["region"]) if "region" in values else None,
        values.get("source", ""),
    )


def _number(values: Mapping[str, Any], key: str, least: int) -> int:
    value = values.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"Expected {key} to be a number from {least} on, but got {value!r}.")
    return value


def _point(values: Mapping[str, Any]) -> tuple[int, int] | None:
    point = values.get("point")
    if point is None:
        return None
    if not isinstance(point, list) or [type(each) for each in point] != [int, int]:
        raise ConfigError(f"Expected point to be [x, y], but got {point!r}.")
    return point[0], point[1]


def correction_lines(entries: Sequence[Correction | Undo]) -> str:
    """The lines of entries, to be put at the end of the file."""
    return "".join(
        json.dumps(_record(entry), ensure_ascii=True, separators=(", ", ": ")) + "\n"
        for entry in entries
    )


def _record(entry: Correction | Undo) -> dict[str, Any]:
    if isinstance(entry, Undo):
        return {"id": entry.id, "undo": entry.undoes}
    record: dict[str, Any] = {
        "id": entry.id,
        "image": entry.image,
        "proposal": entry.proposal,
        "class": entry.class_id,
    }
    if entry.source:
        record["source"] = entry.source
    record |= {
        key: value
        for key, value in (("photo", entry.photo), ("map", entry.map), ("point", entry.point))
        if value is not None
    }
    if entry.region is not None:
        record["region"] = region_record(entry.region)
    return record
