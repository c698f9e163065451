"""The table of suggestions, which a person fills in: ``suggestions.csv``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from primaps.config import did_you_mean
from primaps.errors import ConfigError

_COLUMNS: Final = (
    "class",
    "card",
    "image",
    "proposal",
    "group",
    "group_share",
    "why",
    "guess",
)
_NEEDED: Final = ("class", "image", "proposal")


@dataclass(frozen=True)
class SuggestionRow:
    """One proposal that a person is asked for.

    Attributes:
        image: Name of the image in the run.
        proposal: Id of the proposal in it.
        name: What the person called it; empty = nothing yet.
        card: File name of its picture.
        group: Number of its group.
        group_share: Fraction of the area of all proposals that its group has, in [0, 1].
        why: ``group`` or ``uncertain``.
        guess: What the present model calls it; empty if it has no names.
        line: On which line of the file it stands, from 1; 0 = in none yet.
    """

    image: str
    proposal: int
    name: str = ""
    card: str = ""
    group: int = 0
    group_share: float = 0.0
    why: str = "group"
    guess: str = ""
    line: int = 0


def write_table(rows: Sequence[SuggestionRow]) -> bytes:
    """The table as CSV in UTF-8, with a mark by which spreadsheets know that it is."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow(
            (
                row.name,
                row.card,
                row.image,
                row.proposal,
                row.group,
                f"{row.group_share:.4f}",
                row.why,
                row.guess,
            )
        )
    return stream.getvalue().encode("utf-8-sig", errors="surrogateescape")


def read_table(content: bytes, where: str) -> list[SuggestionRow]:
    """Read a table back; commas, semicolons or tabs part the columns, as spreadsheets write them.

    Args:
        content: Of the file.
        where: Its path, for messages.

    Returns:
        The rows, filled in or not; of columns that are not needed only what is there.

    Raises:
        ConfigError: If it is no such table; the message names the line.
    """
    # names of images may be of any bytes
    text = content.decode("utf-8-sig", errors="surrogateescape")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [str(name).strip() for name in reader.fieldnames or ()]
    for needed in _NEEDED:
        if needed not in names:
            hint = did_you_mean(needed, names)
            raise ConfigError(
                f"{where}, line 1: Expected a column {needed!r}, but got {', '.join(names)}.{hint}"
            )
    reader.fieldnames = names
    rows = []
    for values in reader:
        image, number = (values["image"] or "").strip(), (values["proposal"] or "").strip()
        name = (values["class"] or "").strip()
        if not image and not number and not name:
            continue
        if not name.isprintable() and name:
            raise ConfigError(
                f"{where}, line {reader.line_num}: Expected a name in UTF-8, but got {name!r}. Save"
                " the table as CSV in UTF-8."
            )
        if not image or not number.isdecimal():
            raise ConfigError(
                f"{where}, line {reader.line_num}: Expected the name of an image and the number of"
                f" a proposal, but got {image!r} and {number!r}. Leave these columns as they were."
            )
        rows.append(SuggestionRow(image, int(number), name, line=reader.line_num))
    return rows
