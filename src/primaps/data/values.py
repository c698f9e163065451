"""Values as files store them, and how they become 8-bit ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_ROWS: Final = 256
"""Rows that are computed with at a time."""


@dataclass(frozen=True)
class Values:
    """What a file stores of one image.

    Attributes:
        array: (H, W, C) unsigned, signed or floating-point numbers of the bands that are used.
        bits: Of an integer that count: 12 in a file of packed 12-bit numbers.
        white_is_zero: Low values are bright.
        alpha: (H, W) opacity of the array's type; None = all is opaque.
        premultiplied: The array was multiplied with it.
        ignored: (H, W) bool pixels that hold no data; None = all do.
    """

    array: NDArray[Any]
    bits: int
    white_is_zero: bool = False
    alpha: NDArray[Any] | None = None
    premultiplied: bool = False
    ignored: NDArray[np.bool_] | None = None

    @property
    def kind(self) -> str:
        """Images of a kind share a range of values: the name of an integer type, or ``float``."""
        return "float" if self.array.dtype.kind == "f" else self.array.dtype.name


def eight_bit(values: Values, low: float, high: float) -> NDArray[np.uint8]:
    """Linear, with low as 0 and high as 255 (the other way round where white is zero), rounded and
    clipped; all 0 where they are equal. Pixels without data get the mean of the others.

    Args:
        values: Of one image.
        low: Value.
        high: Value.

    Returns:
        (H, W, C) uint8.
    """
    result = stretched(values.array, low, high)
    if values.white_is_zero:
        np.subtract(255, result, out=result)
    if values.ignored is not None:
        kept = ~values.ignored
        for band in range(result.shape[2]):
            plane = result[..., band]
            plane[values.ignored] = round(float(plane[kept].mean()))
    return result


def opacity(values: Values) -> NDArray[np.uint8]:
    """(H, W) uint8 opacity of an image that has one, 255 = opaque."""
    assert values.alpha is not None
    top = 1.0 if values.kind == "float" else float((1 << values.bits) - 1)
    return stretched(values.alpha, 0.0, top)


def divided(pixels: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours that were multiplied with their opacity, as they were before.

    Args:
        pixels: (H, W, C).
        alpha: (H, W), 255 = opaque.
    """
    scale = 255.0 / np.maximum(alpha, 1).astype(np.float32)
    result: NDArray[np.uint8] = np.rint((pixels * scale[..., None]).clip(0, 255)).astype(np.uint8)
    return result


def stretched(array: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values as 8-bit ones.

    Args:
        array: Of any shape and of real numbers.
        low: Value that becomes 0; what is not finite does too.
        high: Value that becomes 255.

    Returns:
        uint8 of the same shape.
    """
    if array.dtype == np.uint8 and (low, high) == (0.0, 255.0):
        return np.array(array, dtype=np.uint8)
    if array.dtype == np.uint16:
        table = _scaled(np.arange(65536, dtype=np.float64), low, high)
        looked_up: NDArray[np.uint8] = table[array]
        return looked_up
    result = np.empty(array.shape, dtype=np.uint8)
    for row in range(0, len(array), _ROWS):
        result[row : row + _ROWS] = _scaled(array[row : row + _ROWS], low, high)
    return result


def _scaled(numbers: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    if not high > low:
        return np.zeros(numbers.shape, dtype=np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.nan_to_num((numbers.astype(np.float64) - low) * (255.0 / (high - low)), nan=0.0)
    levels: NDArray[np.uint8] = np.rint(scaled.clip(0, 255)).astype(np.uint8)
    return levels
