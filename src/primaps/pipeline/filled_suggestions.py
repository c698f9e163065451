"""The table of suggestions, filled in by a person, read back: classes and corrections."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from primaps.errors import ConfigError
from primaps.naming.corrections import UNLABELLED
from primaps.naming.table import add_class, checked_name
from primaps.outputs.label_files import read_label_image
from primaps.outputs.suggestion_table import SuggestionRow, read_table
from primaps.pipeline.classes import default_colours, transform_classes
from primaps.pipeline.evidence import said_of_proposals
from primaps.pipeline.named_labels import NamedLabels, correct, present_images
from primaps.pipeline.suggesting import SuggestionFiles
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.types import ClassTable

SOURCE: Final = "suggest"
"""How corrections from the table are marked."""

UNLABELLED_WORDS: Final = ("255", "none", "ignore", "unlabelled")
"""What a person may write for proposals of no class."""


@dataclass(frozen=True)
class ReadBack:
    """What became of a table.

    Attributes:
        said: How many proposals were named that were not before, or named otherwise.
        known: How many had the same name already.
        empty: How many rows have no name.
        new_classes: Names of the classes that were made.
    """

    said: int
    known: int
    empty: int
    new_classes: tuple[str, ...]


def read_suggestions(root: str | Path) -> ReadBack:
    """Take the names from ``suggestions.csv``: as corrections, with classes for new names.

    A name that differs from a class's by upper and lower case alone means that class; a number is
    the id of a class; ``none`` means no class. Read again, what was said already is not said twice.

    Args:
        root: The run folder.

    Raises:
        CheckpointError: If the folder is none of a run.
        ConfigError: If there is no table, or something in it does not fit; nothing is taken then.
        OutputError: If something cannot be written.
    """
    files = SuggestionFiles(NamedFolder.find(Path(root)).root)
    if not files.table.exists():
        raise ConfigError(
            f"Expected a table {files.table}, but there is none. Make it: primaps suggest {root}"
        )
    rows = read_table(files.table.read_bytes(), str(files.table))
    filled = [row for row in rows if row.name]
    _check_proposals(files, filled)
    before = NamedLabels(files.root).table
    wanted = _spelled(filled, before, str(files.table))
    new = [name for name in dict.fromkeys(wanted) if name not in _keys(before)]
    table = transform_classes(files.root, lambda table: (_with_names(table, new), {}))
    said, ids = said_of_proposals(files.root), _keys(table)
    fresh = [
        (row.image, row.proposal, ids[name])
        for row, name in zip(filled, wanted, strict=True)
        if said.get((row.image, row.proposal)) != ids[name]
    ]
    correct(files.root, fresh, source=SOURCE)
    return ReadBack(len(fresh), len(filled) - len(fresh), len(rows) - len(filled), tuple(new))


def _keys(table: ClassTable) -> dict[str, int]:
    """Class ids by name, id as text, or a word for no class."""
    by_id = {str(each.id): each.id for each in table.classes}
    titles = {each.title: each.id for each in table.classes}
    return dict.fromkeys(UNLABELLED_WORDS, UNLABELLED) | by_id | titles


def _spelled(rows: Sequence[SuggestionRow], table: ClassTable, where: str) -> list[str]:
    """The name of every row as `_keys` has it, or as a new class will have it: the first spelling
    counts.
    """
    spelling = {key.casefold(): key for key in _keys(table)}
    found = []
    for row in rows:
        try:
            name = row.name if row.name.casefold() in spelling else checked_name(row.name)
        except ConfigError as error:
            raise ConfigError(f"{where}, line {row.line}: {error}") from error
        found.append(spelling.setdefault(name.casefold(), name))
    return found


def _with_names(table: ClassTable, names: Sequence[str]) -> ClassTable:
    colours = default_colours()
    for name in names:
        if all(each.name != name for each in table.classes):
            free = add_class(table, name, (0, 0, 0)).classes
            number = next(each.id for each in free if each.name == name)
            table = add_class(table, name, colours[number])
    return table


def _check_proposals(files: SuggestionFiles, rows: Sequence[SuggestionRow]) -> None:
    """Refuse rows of proposals that do not exist, before anything is written."""
    folder = RunFolder(files.root)
    present = present_images(folder)
    by_image: dict[str, list[SuggestionRow]] = defaultdict(list)
    for row in rows:
        by_image[row.image].append(row)
    for image, wanted in by_image.items():
        inside = present is not None and image in present
        known = set(np.unique(read_label_image(folder.proposals(image)))) if inside else {0}
        for row in wanted:
            if row.proposal not in known or row.proposal == 0:
                raise ConfigError(
                    f"{files.table}, line {row.line}: Expected a proposal of the run, but there is"
                    f" no proposal {row.proposal} of {image!r}. Take the line out."
                )
