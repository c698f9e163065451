"""What a file of mended masks says of one photograph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ImageError

UNLABELLED = -1
"""In maps of mended masks."""


@dataclass(frozen=True)
class MendedImage:
    """One photograph of a file of mended masks.

    Attributes:
        name: What the file calls it.
        is_stem: The name has no extension of a photograph.
        where: The file.
        names: Names of the classes; None = values are ids of classes.
        paint: Gives (H, W) int16 indices into ``names``, `UNLABELLED` elsewhere; None = the file
            holds no mask of it. Raises `ImageError` if the masks cannot be used.
        passed_over: Number of marks that are no masks (boxes, points), which are not read.
    """

    name: str
    where: Path
    names: tuple[str, ...] | None
    paint: Callable[[], NDArray[np.int16] | None]
    is_stem: bool = False
    passed_over: int = 0


@dataclass(frozen=True)
class Mark:
    """Some pixels of one class.

    Attributes:
        index: Of the class in `MendedImage.names`.
        decode: Gives a (h, w) bool mask; raises ValueError or TypeError if it is damaged.
        top: First row of the mask in the image.
        left: First column likewise.
    """

    index: int
    decode: Callable[[], NDArray[np.bool_]]
    top: int = 0
    left: int = 0


def painted(name: str, size: tuple[int, int], marks: Sequence[Mark]) -> NDArray[np.int16] | None:
    """A map of class indices; where marks overlap the later one counts, as on a screen.

    Args:
        name: Of the photograph, for messages.
        size: (H, W) in pixels.
        marks: From the bottom to the top.

    Returns:
        (H, W) int16; None if there are no marks.

    Raises:
        ImageError: If a mask is damaged, or lies outside the image.
    """
    if not marks:
        return None
    found = np.full(size, UNLABELLED, dtype=np.int16)
    for mark in marks:
        try:
            mask = mark.decode()
        except (ValueError, TypeError, KeyError) as error:
            raise ImageError(
                f"Expected masks of {name}, {size[1]} x {size[0]} pixels, but got {error}. Export"
                " them again."
            ) from error
        bottom, right = mark.top + mask.shape[0], mark.left + mask.shape[1]
        if min(mark.top, mark.left) < 0 or bottom > size[0] or right > size[1]:
            raise ImageError(
                f"Expected masks of {name} within {size[1]} x {size[0]} pixels, but one reaches"
                f" from ({mark.left}, {mark.top}) to ({right}, {bottom}). Export them again."
            )
        found[mark.top : bottom, mark.left : right][mask] = mark.index
    return found
