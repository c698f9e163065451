"""Operations on a table of classes: name, merge, ignore, colour. Each gives a new table, or says
what does not fit.

Classes are asked for by id or by name. A class keeps its id as long as it lives, because
corrections and label maps with names refer to it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.types import IGNORE_INDEX, ClassTable, NamedClass

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0..255."""
Key: TypeAlias = int | str
"""Id or name of a class; a string of digits counts as an id."""

MAX_CLASS_ID: Final = IGNORE_INDEX - 1
LONGEST_NAME: Final = 100
LONGEST_NOTE: Final = 2000


def fresh_table(num_clusters: int, colours: Sequence[Colour]) -> ClassTable:
    """One class without a name per cluster, with the same id.

    Args:
        num_clusters: K.
        colours: At least K colours, by class id.
    """
    return ClassTable(
        num_clusters,
        tuple(NamedClass(each, None, colours[each], (each,)) for each in range(num_clusters)),
    )


def is_touched(entry: NamedClass) -> bool:
    """Whether a person has said anything of a class that would be lost without it; a colour alone
    does not count.
    """
    return entry.name is not None or entry.ignore or bool(entry.note) or len(entry.clusters) > 1


def find_class(table: ClassTable, key: Key) -> NamedClass:
    """The class with an id or a name.

    Raises:
        ConfigError: If there is none; the message suggests the closest names.
    """
    text = str(key).strip()
    for entry in table.classes:
        if entry.name == text or (text.isdecimal() and entry.id == int(text)):
            return entry
    if text.isdecimal():
        owner = next((each for each in table.classes if int(text) in each.clusters), None)
        hint = (
            f" Cluster {text} belongs to {_called(owner)}."
            if owner is not None
            else f" There are {', '.join(_called(each) for each in table.classes)}."
        )
        raise ConfigError(f"Expected the id of a class, but there is no class {text}.{hint}")
    names = [each.name for each in table.classes if each.name is not None]
    listed = f" Names given so far: {', '.join(names)}." if names else " No class has a name yet."
    raise ConfigError(
        f"Expected the id or name of a class, but got {text!r}.{did_you_mean(text, names)}{listed}"
    )


def name_class(table: ClassTable, key: Key, name: str | None) -> tuple[ClassTable, dict[int, int]]:
    """Give a class a name, or take it away with None.

    A name that belongs to a class without clusters makes one of both: it waited for this.

    Returns:
        As `merge_classes`.

    Raises:
        ConfigError: If there is no such class, the name is no name, or another class that owns
            clusters has it.
    """
    entry = find_class(table, key)
    if name is None:
        return replace_class(table, dataclasses.replace(entry, name=None)), {}
    name = checked_name(name)
    other = next((each for each in table.classes if each.name == name), None)
    if other is not None and other.id != entry.id:
        if other.clusters:
            raise ConfigError(
                f"Expected a name that no other class has, but {_called(other)} has it already. To"
                f" make one class of both: --merge {entry.id}={name}."
            )
        return merge_classes(table, [entry.id], name)
    return replace_class(table, dataclasses.replace(entry, name=name)), {}


def merge_classes(
    table: ClassTable, keys: Sequence[Key], name: str
) -> tuple[ClassTable, dict[int, int]]:
    """Make one class of several.

    The class that has the name already takes in the others; if none has it, the first one does and
    gets the name. Notes are joined.

    Args:
        table: The classes.
        keys: The classes to be taken in.
        name: Of the class that stays.

    Returns:
        The table, and the id that each class that is gone lives on under: corrections follow it.

    Raises:
        ConfigError: If there is no such class, or the name is no name.
    """
    name = checked_name(name)
    parts = [find_class(table, key) for key in keys]
    if not parts:
        raise ConfigError("Expected classes to merge, as in --merge 4,7=building, but got none.")
    target = next((each for each in table.classes if each.name == name), parts[0])
    gone = {each.id: target.id for each in parts if each.id != target.id}
    together = [target, *(each for each in table.classes if each.id in gone)]
    merged = dataclasses.replace(
        target,
        name=name,
        clusters=tuple(sorted({cluster for each in together for cluster in each.clusters})),
        note="; ".join(dict.fromkeys(each.note for each in together if each.note)),
    )
    rest = [each for each in table.classes if each.id != target.id and each.id not in gone]
    return checked_table(table.num_clusters, [*rest, merged]), gone


def ignore_class(table: ClassTable, key: Key, *, ignore: bool = True) -> ClassTable:
    """Have a class count as unlabelled wherever names are applied, or no longer.

    Raises:
        ConfigError: If there is no such class.
    """
    return replace_class(table, dataclasses.replace(find_class(table, key), ignore=ignore))


def colour_class(table: ClassTable, key: Key, colour: str | Colour) -> ClassTable:
    """Give a class a colour.

    Raises:
        ConfigError: If there is no such class, or the colour is none.
    """
    entry = find_class(table, key)
    value = parse_colour(colour) if isinstance(colour, str) else colour
    return replace_class(table, dataclasses.replace(entry, colour=value))


def with_known_classes(table: ClassTable, known: Mapping[str, Colour]) -> ClassTable:
    """Names and colours of a known data set: a class that has one of the names gets its colour;
    the other names become classes without clusters, which wait for `name_class`.

    Raises:
        ConfigError: If there are more classes than ids.
    """
    for name, colour in known.items():
        entry = next((each for each in table.classes if each.name == name), None)
        if entry is None:
            table = add_class(table, name, colour)
        else:
            table = replace_class(table, dataclasses.replace(entry, colour=colour))
    return table


def note_class(table: ClassTable, key: Key, note: str) -> ClassTable:
    """Give a class a note, or take it away with an empty one.

    Raises:
        ConfigError: If there is no such class, or the note is too long or holds control
            characters.
    """
    entry, note = find_class(table, key), note.strip()
    if len(note) > LONGEST_NOTE or not all(each.isprintable() or each == "\n" for each in note):
        raise ConfigError(
            f"Expected a note of up to {LONGEST_NOTE} characters of plain text, but got"
            f" {note[:60]!r}."
        )
    return replace_class(table, dataclasses.replace(entry, note=note))


def add_class(table: ClassTable, name: str, colour: Colour) -> ClassTable:
    """A further class that owns no cluster; its id is the lowest free one after those of clusters,
    so that class 3 is not something else than cluster 3 as long as that can be.

    Raises:
        ConfigError: If the name is no name or is taken, or no id is left.
    """
    taken = {each.id for each in table.classes}
    order = (*range(table.num_clusters, IGNORE_INDEX), *range(table.num_clusters))
    free = next((each for each in order if each not in taken), None)
    if free is None:
        raise ConfigError(
            f"Expected at most {IGNORE_INDEX} classes, but there is no id left for {name!r}. Merge"
            " some."
        )
    added = NamedClass(free, checked_name(name), colour, ())
    return checked_table(table.num_clusters, [*table.classes, added])


def replace_class(table: ClassTable, entry: NamedClass) -> ClassTable:
    """The table with another class of the same id."""
    return checked_table(
        table.num_clusters, [entry if each.id == entry.id else each for each in table.classes]
    )


def checked_table(num_clusters: int, classes: Sequence[NamedClass]) -> ClassTable:
    """A table, by ascending id, once everything fits.

    Raises:
        ConfigError: If an id or a name occurs twice, a cluster belongs to two classes, or an id is
            out of range.
    """
    names: dict[str, NamedClass] = {}
    owners: dict[int, NamedClass] = {}
    ids: set[int] = set()
    for entry in classes:
        if entry.id in ids or not 0 <= entry.id <= MAX_CLASS_ID:
            raise ConfigError(
                f"Expected class ids to be distinct numbers 0..{MAX_CLASS_ID}, but got {entry.id}."
            )
        ids.add(entry.id)
        if entry.name is not None:
            other = names.setdefault(entry.name, entry)
            if other is not entry:
                raise ConfigError(
                    f"Expected a name for one class only, but classes {other.id} and {entry.id}"
                    f" are both {entry.name!r}. Rename one, or make one class of both."
                )
        for cluster in entry.clusters:
            if not 0 <= cluster < num_clusters:
                raise ConfigError(
                    f"Expected clusters 0..{num_clusters - 1}, but {_called(entry)} owns"
                    f" {cluster}. Take it out."
                )
            owner = owners.setdefault(cluster, entry)
            if owner is not entry:
                raise ConfigError(
                    f"Expected a cluster to belong to one class, but {cluster} is in"
                    f" {_called(owner)} and {_called(entry)}. Take it out of one."
                )
    return ClassTable(num_clusters, tuple(sorted(classes, key=lambda each: each.id)))


def checked_name(name: str) -> str:
    """A name without blanks around it.

    Raises:
        ConfigError: If nothing is left, or it cannot be told from an id, or it has line breaks,
            or it is too long.
    """
    stripped = name.strip()
    if (
        not stripped
        or stripped.isdecimal()
        or not stripped.isprintable()
        or len(stripped) > LONGEST_NAME
    ):
        raise ConfigError(
            f"Expected a name of up to {LONGEST_NAME} characters on one line that is not a number,"
            f" but got {name!r}."
        )
    return stripped


def parse_colour(text: str) -> Colour:
    """A colour from ``#804080`` (the # may be missing).

    Raises:
        ConfigError: If it is none.

    Examples:
        >>> parse_colour("#804080")
        (128, 64, 128)
    """
    match = re.fullmatch(r"#?([0-9a-fA-F]{6})", text.strip())
    if match is None:
        raise ConfigError(
            f"Expected a colour as six hexadecimal digits, such as '#804080', but got {text!r}."
        )
    red, green, blue = bytes.fromhex(match[1])
    return red, green, blue


def colour_text(colour: Colour) -> str:
    """The inverse of `parse_colour`.

    Examples:
        >>> colour_text((128, 64, 128))
        '#804080'
    """
    return "#" + bytes(colour).hex()


def _called(entry: NamedClass) -> str:
    return f"class {entry.id}" + (f" ({entry.name})" if entry.name is not None else "")
