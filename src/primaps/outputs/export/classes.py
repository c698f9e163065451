"""The classes that an export names, and the numbers that formats give them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.visualize import MAX_COLOURS, palette
from primaps.types import IGNORE_INDEX, ClassTable, NamedClass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ExportClass:
    """One class as formats write it.

    Attributes:
        id: Class id, 0..254, as label maps hold it.
        name: Unique among the classes, one line without control characters.
        colour: Red, green, blue, 0..255; unique, and never black.
    """

    id: int
    name: str
    colour: Colour

    @property
    def hexadecimal(self) -> str:
        """The colour as ``#rrggbb``."""
        return "#{:02x}{:02x}{:02x}".format(*self.colour)


@dataclass(frozen=True)
class ExportClasses:
    """The classes that are not ignored, by ascending id.

    Attributes:
        classes: The classes; those without any pixel belong to them.
    """

    classes: tuple[ExportClass, ...]

    @classmethod
    def of(cls, table: ClassTable, taken: Sequence[Colour] = ()) -> ExportClasses:
        """What a class table exports. Names and colours that occur twice are told apart.

        Args:
            table: The classes of a model.
            taken: Colours that no class may have, besides black.
        """
        shown = [each for each in table.classes if not each.ignore]
        names = _unique_names(shown)
        colours = _unique_colours([each.colour for each in shown], [(0, 0, 0), *taken])
        return cls(
            tuple(
                ExportClass(each.id, name, colour)
                for each, name, colour in zip(shown, names, colours, strict=True)
            )
        )

    def apart_from(self, taken: Sequence[Colour]) -> ExportClasses:
        """The same classes without the given colours."""
        colours = _unique_colours([each.colour for each in self.classes], [(0, 0, 0), *taken])
        return ExportClasses(
            tuple(
                ExportClass(each.id, each.name, colour)
                for each, colour in zip(self.classes, colours, strict=True)
            )
        )

    def __len__(self) -> int:
        return len(self.classes)

    def by_id(self) -> dict[int, ExportClass]:
        """The classes by their id."""
        return {each.id: each for each in self.classes}

    def numbered(self, first: int, unlabelled: int) -> NDArray[np.uint8]:
        """(256,) uint8 table from class ids to consecutive numbers.

        Args:
            first: Number of the first class.
            unlabelled: What 255, and ids of no class, become.
        """
        table = np.full(IGNORE_INDEX + 1, unlabelled, dtype=np.uint8)
        for number, each in enumerate(self.classes, start=first):
            table[each.id] = number
        return table


def _unique_names(classes: Sequence[NamedClass]) -> list[str]:
    names: list[str] = []
    for each in classes:
        title = "".join(c for c in each.title if c.isspace() or unicodedata.category(c) != "Cc")
        plain = " ".join(title.split()) or f"class {each.id}"
        name, count = plain, 1
        while name in names:
            count += 1
            name = f"{plain} ({count})"
        names.append(name)
    return names


def _unique_colours(colours: Sequence[Colour], taken: Sequence[Colour]) -> list[Colour]:
    """Of equal colours the first stays; the others get ones of the palette that nobody has."""
    used = set(taken)
    unique: list[Colour | None] = []
    for colour in colours:
        unique.append(None if colour in used else colour)
        used.add(colour)
    rest = (
        (int(red), int(green), int(blue))
        for red, green, blue in palette(MAX_COLOURS)
        if (int(red), int(green), int(blue)) not in used
    )
    return [next(rest) if colour is None else colour for colour in unique]
