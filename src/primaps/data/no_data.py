"""Pixels that hold no data: how they are told, and what is said of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.types import ReadingNote

_USUAL: Final = (-9999.0, -99999.0, -32767.0, -32768.0, float(np.finfo(np.float32).min))
"""What programs write where there is no data, besides the lowest value of a type."""
_APART: Final = 4
"""The others are at most so many times as far from each other as the value is from them."""


def without_data(
    array: NDArray[Any], nodata: float | None, mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """(H, W) bool pixels that hold no data: masked, not finite in any band, or of the no-data value
    in all; None = there is none.

    Args:
        array: (H, W, C) values.
        nodata: The no-data value.
        mask: (H, W) bool pixels that are left out in any case.
    """
    ignored = np.zeros(array.shape[:2], dtype=bool) if mask is None else mask.copy()
    if array.dtype.kind == "f":
        for band in range(array.shape[2]):
            ignored |= ~np.isfinite(array[..., band])
    if nodata is not None and np.isfinite(nodata):
        same = np.ones(array.shape[:2], dtype=bool)
        with np.errstate(over="ignore"):
            wanted = array.dtype.type(nodata) if array.dtype.kind == "f" else nodata
        for band in range(array.shape[2]):
            same &= array[..., band] == wanted
        ignored |= same
    return ignored if ignored.any() else None


def untagged_value(array: NDArray[Any]) -> float | None:
    """The no-data value of a file that has no tag for it: the lowest number, if it is one that
    programs write for that and all others are far from it; None = there is none.

    Args:
        array: (H, W, C) values; unsigned ones have no such value.
    """
    if array.dtype.kind not in "if":
        return None
    real = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    if not real.size:
        return None
    least = real.min()
    lowest = np.finfo(array.dtype).min if array.dtype.kind == "f" else np.iinfo(array.dtype).min
    if float(least) not in {*_USUAL, float(lowest)}:
        return None
    others = real[real > least]
    if not others.size:
        return None
    low, high = float(others.min()), float(others.max())
    # halves, since twice the lowest value is infinite
    return float(least) if (low / 2 - float(least) / 2) * _APART > high / 2 - low / 2 else None


def nothing_left(name: str) -> str:
    """The message where no pixel holds data."""
    return (
        f"Expected pixels with data, but {name} holds none: all are masked, not finite or of its"
        " no-data value. Leave it out."
    )


def no_data_note(ignored: NDArray[np.bool_]) -> ReadingNote:
    """What there is to say of pixels without data."""
    share = float(ignored.mean())
    return ReadingNote(
        "no-data", f"{share:.1%} of the pixels hold no data: ignored, 255 in the label map."
    )


def untagged_note(value: float) -> ReadingNote:
    """What there is to say of a no-data value that no tag names."""
    text = f"{value:g} is taken as no data though no tag says so, because all others are far off."
    return ReadingNote("no-data", text)
