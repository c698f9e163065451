"""What an export is made from, and what every format has to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.target import Target

Fragment: TypeAlias = Any
"""What the lists of an export hold of one image: a JSON value, kept on disk until all images are
done.
"""


@dataclass(frozen=True)
class ExportImage:
    """One image on its way into a data set.

    Attributes:
        name: Relative path with forward slashes and the extension.
        stem: Unique relative path without it, for formats that pair files by their stems; images
            that differ in their extensions alone keep it in the stem (``a_jpg``, ``a_png``).
        split: ``train``, ``val`` or ``test``.
        path: Where the photograph lies.
        height: Of photograph and label map, upright, in pixels.
        width: Likewise.
        turned: The photograph lies turned in its file, and upright here.
        photograph: Gives the bytes of an upright image file: those of the file, unless it is
            turned.
        label_map: Gives (H, W) uint8 class ids; 255 = unlabelled.
    """

    name: str
    stem: str
    split: str
    path: Path
    height: int
    width: int
    turned: bool
    photograph: Callable[[], bytes]
    label_map: Callable[[], NDArray[np.uint8]]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    @property
    def file(self) -> str:
        """The unique stem with the extension."""
        return self.stem + PurePosixPath(self.name).suffix


@dataclass(frozen=True)
class Record:
    """An image that is done.

    Attributes:
        image: The image.
        content: What the exporter gave back for it.
    """

    image: ExportImage
    content: Fragment


class Records(Protocol):
    """All images that are done, in the order of their names; read from disk one by one."""

    def __call__(self, split: str | None = None) -> Iterator[Record]:
        """The images of one split, or all."""
        ...


@dataclass(frozen=True)
class ExportOptions:
    """What a person may choose.

    Attributes:
        splits: Names of the parts, in order; empty = the data set is one whole.
        polygons: Outlines instead of masks, in formats that know both.
    """

    splits: tuple[str, ...] = ()
    polygons: bool = False

    def parts(self) -> tuple[tuple[str | None, str], ...]:
        """For every part what to ask `Records` for, and the ending of its list's name (``_train``);
        one part with an empty ending if there is no split.
        """
        return tuple((split, f"_{split}") for split in self.splits) or ((None, ""),)

    def folder(self, image: ExportImage) -> str:
        """Where the part of an image lies, with a slash; empty if there is no split."""
        return f"{image.split}/" if self.splits else ""


class Exporter(Protocol):
    """One format, at work in one folder."""

    @property
    def passes(self) -> int:
        """How often `finish` goes over all images."""
        ...

    def add(self, image: ExportImage) -> Fragment:
        """Write the files that belong to one image alone, and give back what the lists need.

        Raises:
            ImageError: If the photograph or its label map cannot be used.
            OutputError: If something cannot be written.
        """
        ...

    def finish(self, records: Records) -> None:
        """Write the files that belong to all images together.

        Raises:
            OutputError: If something cannot be written.
        """
        ...


class MakeExporter(Protocol):
    """A format, before it knows its folder."""

    def __call__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> Exporter:
        """Get ready.

        Raises:
            MissingExtraError: If the format needs a package that is not installed.
            ConfigError: If it cannot hold these classes.
        """
        ...
