"""The classes of a folder as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from primaps.types import NamedClass

_HEADER: Final = ("id", "name", "colour", "clusters", "share", "certainty", "images")


@dataclass(frozen=True)
class ClassRow:
    """One class over all label maps of a folder.

    Attributes:
        entry: The class.
        share: Fraction of the pixels of all label maps, in [0, 1]; None = there are no label maps.
        num_images: Number of images in which it occurs.
        examples: Images in which it has the largest share, best first.
        certainty: Mean difference of the two largest class probabilities, in [0, 1]; None = not
            known.
    """

    entry: NamedClass
    share: float | None
    num_images: int
    examples: tuple[Path, ...] = ()
    certainty: float | None = None


def class_table_text(rows: Sequence[ClassRow]) -> str:
    """The table, one class a line, its examples below it; the largest class comes first.

    Args:
        rows: The classes, in any order.
    """
    ranked = sorted(rows, key=lambda row: (-(row.share or 0.0), row.entry.id))
    cells = [_HEADER, *map(_cells, ranked)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row, found in zip(cells, [None, *ranked], strict=True):
        lines.append(
            "  ".join(
                cell.rjust(width) if column in {0, 4, 5, 6} else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
        )
        if found is not None:
            lines += [f"{'':>{widths[0]}}  {path}" for path in found.examples]
            lines += [f"{'':>{widths[0]}}  note: {found.entry.note}"] * bool(found.entry.note)
    return "\n".join(lines)


def _cells(row: ClassRow) -> tuple[str, ...]:
    entry = row.entry
    name = "-" if entry.name is None else entry.name
    return (
        str(entry.id),
        f"{name} (ignored)" if entry.ignore else name,
        "#" + bytes(entry.colour).hex(),
        ",".join(map(str, entry.clusters)) or "none",
        "-" if row.share is None else f"{100 * row.share:.1f} %",
        "-" if row.certainty is None else f"{100 * row.certainty:.0f} %",
        str(row.num_images),
    )
