"""A table of classes as text: ``classes.yaml``, made to be read and edited by hand.

A change of the table changes only what it has to in the text: comments, order and everything that
stays keep their place.
"""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.naming.table import (
    MAX_CLASS_ID,
    Colour,
    checked_name,
    checked_table,
    colour_text,
    parse_colour,
)
from primaps.types import ClassTable, NamedClass

FORMAT: Final = 1

_TOP: Final = ("format", "model", "num_clusters", "classes")
_ENTRY: Final = ("name", "colour", "clusters", "ignore", "note")
_HEADER: Final = """\
# The classes of this folder. Edit this file, or use `primaps classes`.
# A class owns clusters: those numbers stand in the label maps. To merge two classes, put all their
# clusters into one list and delete the other class. `ignore: true` makes a class unlabelled,
# `note: any text` is yours. A class may own no cluster (clusters: []). Colours need their quotes.
"""


@dataclass(frozen=True)
class ClassesText:
    """What a text says.

    Attributes:
        table: The classes.
        model: Fingerprint of the model whose clusters are meant; None = it says none.
    """

    table: ClassTable
    model: str | None


def parse_classes(text: str, where: str, colours: Sequence[Colour]) -> ClassesText:
    """Read ``classes.yaml``.

    Args:
        text: Its content.
        where: Its path, for messages.
        colours: 255 colours by class id, for classes without one.

    Raises:
        ConfigError: If it is no YAML, or something in it does not fit; the message names the line
            and what to do.
    """
    return _parsed(text, where, tuple(colours))


@functools.lru_cache(maxsize=16)  # a studio asks for the same text several times at every click
def _parsed(text: str, where: str, colours: tuple[Colour, ...]) -> ClassesText:
    document = _load(text, where)
    for key in document:
        if key not in _TOP:
            hint = did_you_mean(str(key), _TOP)
            _fail(where, document, key, f"Unknown key {key!r}.{hint} Known: {', '.join(_TOP)}.")
    if document.get("format", FORMAT) != FORMAT:
        _fail(
            where,
            document,
            "format",
            f"Expected format: {FORMAT}, but got {document['format']!r}. Use the version of primaps"
            " that wrote it.",
        )
    clusters = document.get("num_clusters")
    if not _is_number(clusters) or not 1 <= clusters <= MAX_CLASS_ID + 1:
        _fail(
            where,
            document,
            "num_clusters",
            f"Expected num_clusters to be the number of clusters of the model, but got"
            f" {clusters!r}.",
        )
    entries = document.get("classes") or CommentedMap()
    if not isinstance(entries, CommentedMap):
        _fail(
            where,
            document,
            "classes",
            "Expected classes to be a mapping from class ids, as in `3: {name: road, clusters:"
            " [3]}`.",
        )
    classes = [_entry(where, entries, key, colours) for key in entries]
    _check_together(where, entries, classes, int(clusters))
    model = document.get("model")
    return ClassesText(checked_table(int(clusters), classes), None if model is None else str(model))


def write_classes(table: ClassTable, model: str | None) -> str:
    """A text for a table that has none yet.

    Args:
        table: The classes.
        model: Fingerprint of the model whose clusters are meant.
    """
    document = CommentedMap()
    document["format"] = FORMAT
    if model is not None:
        document["model"] = DoubleQuotedScalarString(model)
    document["num_clusters"] = table.num_clusters
    document["classes"] = CommentedMap({each.id: _new_entry(each) for each in table.classes})
    return _HEADER + _dump(document)


def update_classes(text: str, former: ClassesText, table: ClassTable, model: str | None) -> str:
    """The text of a table that came out of another one.

    Args:
        text: That of the former table; what is equal in both stays as it is, with its comments.
        former: What it says.
        table: The new classes.
        model: Fingerprint of the model whose clusters the new ones mean.

    Returns:
        The same text if nothing changed.
    """
    if (former.table, former.model) == (table, model):
        return text
    document = _load(text, "classes.yaml")
    if former.model != model:
        document["model"] = None if model is None else DoubleQuotedScalarString(model)
    if former.table.num_clusters != table.num_clusters:
        document["num_clusters"] = table.num_clusters
    if document.get("classes") is None:
        document["classes"] = CommentedMap()
    entries = document["classes"]
    known = {each.id: each for each in former.table.classes}
    for entry in table.classes:
        if entry.id not in known:
            entries[entry.id] = _new_entry(entry)
        elif entry != known[entry.id]:
            _update_entry(entries[entry.id], known[entry.id], entry)
    gone = known.keys() - {each.id for each in table.classes}
    changed = _without(_dump(document), gone) if gone else _dump(document)
    if not _says(changed, ClassesText(table, model)):  # anchors, merge keys: cannot be edited
        changed = write_classes(table, model)
    return _with_lost_comments(text, changed)


def _says(text: str, wanted: ClassesText) -> bool:
    colours = {each.id: each.colour for each in wanted.table.classes}
    defaults = [colours.get(number, (0, 0, 0)) for number in range(MAX_CLASS_ID + 1)]
    try:
        return parse_classes(text, "", defaults) == wanted
    except ConfigError:
        return False


def _load(text: str, where: str) -> CommentedMap:
    try:
        document = _yaml().load(text)
    except MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise ConfigError(
            f"{where}{line}: Expected YAML, but got: {error.problem}. Mend this line, or take back"
            " a former version from classes-history."
        ) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: Expected YAML, but got: {error}. Mend it.") from error
    if not isinstance(document, CommentedMap):
        raise ConfigError(
            f"{where}: Expected the keys {', '.join(_TOP)}, but got something else. Take back a"
            " former version from classes-history, or delete the file to have it made anew."
        )
    return document


def _entry(where: str, entries: CommentedMap, key: Any, colours: Sequence[Colour]) -> NamedClass:
    """One class, each value checked by itself."""
    if not _is_number(key) or not 0 <= key <= MAX_CLASS_ID:
        _fail(where, entries, key, f"Expected a class id 0..{MAX_CLASS_ID}, but got {key!r}.")
    values, number = entries[key], int(key)
    if not isinstance(values, CommentedMap):
        _fail(
            where,
            entries,
            key,
            f"Expected class {number} to have {', '.join(_ENTRY)}, but got {values!r}.",
        )
    for name in values:
        if name not in _ENTRY:
            hint = did_you_mean(str(name), _ENTRY)
            _fail(
                where,
                values,
                name,
                f"Unknown key {name!r} of class {number}.{hint} Known: {', '.join(_ENTRY)}.",
            )
    ignore, note = values.get("ignore", False), values.get("note")
    if not isinstance(ignore, bool):
        _fail(where, values, "ignore", f"Expected ignore: true or false, but got {ignore!r}.")
    if note is not None and not isinstance(note, str):
        _fail(where, values, "note", f"Expected note to be text, but got {note!r}. Put quotes.")
    return NamedClass(
        number,
        _name(where, values),
        _colour(where, values, colours[number]),
        _clusters(where, values),
        ignore,
        "" if note is None else str(note),
    )


def _name(where: str, values: CommentedMap) -> str | None:
    name = values.get("name")
    if name is None:
        return None
    if not isinstance(name, str):
        _fail(
            where, values, "name", f'Expected name to be text, but got {name!r}. Put quotes: "..."'
        )
    try:
        return checked_name(str(name))
    except ConfigError as error:
        _fail(where, values, "name", str(error))


def _colour(where: str, values: CommentedMap, default: Colour) -> Colour:
    if "colour" not in values:
        return default
    colour = values["colour"]
    if not isinstance(colour, str):
        _fail(
            where,
            values,
            "colour",
            f'Expected a colour in quotes, such as "#804080", but got {colour!r}. What follows a'
            " # without quotes is a comment.",
        )
    try:
        return parse_colour(colour)
    except ConfigError as error:
        _fail(where, values, "colour", str(error))


def _clusters(where: str, values: CommentedMap) -> tuple[int, ...]:
    clusters = values.get("clusters")
    if clusters is None:
        return ()
    if not isinstance(clusters, list) or not all(_is_number(each) for each in clusters):
        _fail(
            where,
            values,
            "clusters",
            f"Expected clusters to be a list of numbers, such as [3, 8], but got {clusters!r}.",
        )
    return tuple(sorted({int(each) for each in clusters}))


def _check_together(
    where: str, entries: CommentedMap, classes: Sequence[NamedClass], num_clusters: int
) -> None:
    """What `checked_table` checks, with lines."""
    names: dict[str, int] = {}
    owners: dict[int, int] = {}
    for entry in classes:
        values = entries[entry.id]
        if entry.name is not None:
            other = names.setdefault(entry.name, entry.id)
            if other != entry.id:
                _fail(
                    where,
                    values,
                    "name",
                    f"Expected a name for one class only, but class {other} (line"
                    f" {_line(entries[other], 'name')}) is {entry.name!r} too. Rename one, or put"
                    " the clusters of both into one.",
                )
        for cluster in entry.clusters:
            if not 0 <= cluster < num_clusters:
                _fail(
                    where,
                    values,
                    "clusters",
                    f"Expected clusters 0..{num_clusters - 1}, but got {cluster}. Take it out.",
                )
            owner = owners.setdefault(cluster, entry.id)
            if owner != entry.id:
                _fail(
                    where,
                    values,
                    "clusters",
                    f"Expected a cluster to belong to one class, but {cluster} is in class {owner}"
                    f" (line {_line(entries[owner], 'clusters')}) too. Take it out of one.",
                )


def _new_entry(entry: NamedClass) -> CommentedMap:
    values = CommentedMap()
    values["name"] = entry.name
    values["colour"] = DoubleQuotedScalarString(colour_text(entry.colour))
    values["clusters"] = _flow(entry.clusters)
    if entry.ignore:
        values["ignore"] = True
    if entry.note:
        values["note"] = entry.note
    return values


def _update_entry(values: CommentedMap, former: NamedClass, entry: NamedClass) -> None:
    """Set what differs."""
    new: Mapping[str, Any] = {
        "name": entry.name,
        "colour": DoubleQuotedScalarString(colour_text(entry.colour)),
        "ignore": entry.ignore,
        "note": entry.note,
    }
    for key, value in new.items():
        if getattr(former, key) != getattr(entry, key):
            values[key] = value
    if former.clusters != entry.clusters:
        values["clusters"] = _flow(entry.clusters)


def _flow(numbers: Sequence[int]) -> CommentedSeq:
    listed = CommentedSeq(numbers)
    listed.fa.set_flow_style()
    return listed


def _without(text: str, gone: set[int]) -> str:
    """The text without some classes; comments between and behind their lines stay."""
    document = _load(text, "classes.yaml")
    entries = document["classes"]
    starts = sorted(_line(entries, key) - 1 for key in entries)
    if len(set(starts)) < len(starts) or starts[0] == _line(document, "classes") - 1:
        for key in gone:  # written on one line: there is no room for comments in it
            del entries[key]
        return _dump(document)
    lines = text.splitlines()
    below = [_line(document, key) - 1 for key in document]
    ends = sorted({*starts, *below, len(lines)})
    for key in gone:
        start = _line(entries, key) - 1
        end = next(each for each in ends if each > start)
        for number in range(start, end):
            if lines[number].strip() and not lines[number].lstrip().startswith("#"):
                lines[number] = "".join(f"  {each}" for each in _comments(lines[number])) or "\0"
    kept = "\n".join(line for line in lines if line != "\0") + "\n"
    if gone == set(entries):
        kept = re.sub(r"(?m)^classes:", "classes: {}", kept, count=1)
    return kept


def _with_lost_comments(before: str, after: str) -> str:
    """The safety net: a comment that is found no more comes to the end."""
    lost = [each for each in _comments(before) if each not in after]
    return after + "".join(f"{each}\n" for each in lost)


def _comments(text: str) -> list[str]:
    """The comments of each line; a # in quotes is none."""
    found = []
    for line in text.splitlines():
        blanked = re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'", lambda each: "x" * len(each[0]), line)
        match = re.search(r"(?:^|\s)(#.*)$", blanked)
        if match is not None:
            found.append(line[match.start(1) :].rstrip())
    return found


def _yaml() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 10_000  # never breaks a line by itself
    return yaml


def _dump(document: CommentedMap) -> str:
    stream = io.StringIO()
    _yaml().dump(document, stream)
    return stream.getvalue()


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _line(values: CommentedMap, key: Any) -> int:
    """The line on which a key stands, from 1; that of the mapping if it has no such key."""
    position = values.lc.data.get(key) if values.lc.data else None
    return int(values.lc.line if position is None else position[0]) + 1


def _fail(where: str, values: CommentedMap, key: Any, message: str) -> NoReturn:
    raise ConfigError(f"{where}, line {_line(values, key)}: {message}")
