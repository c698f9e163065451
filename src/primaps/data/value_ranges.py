"""Which values of deep images become black and white.

Images of more than 8 bits often use a part of what their type can hold: 12 of 16 bits, reflectances
of 0 to 3000, degrees Celsius. The rule ``auto`` looks at a sample of values (`sample`):

- Of the usual depths (8, 10, 12, 14, 16 bits, ...; of floating point [0, 1], [0, 255] and
  [0, 65535]) the smallest that holds all of them is the range, if their 99.9 % quantile is in its
  upper half, and at least a quarter of it above their 0.1 % quantile. Such a picture looks like its
  8-bit twin.
- Otherwise the range goes from their 0.1 % to their 99.9 % quantile.

All bands share a range, so that colours stay, and all images of a folder that have values of one
kind do, so that brightness stays comparable (`primaps.pipeline.input_ranges`). An image that lies
in the lowest or highest twelfth of the folder's range would be black or white: it gets its own one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import InputConfig
from primaps.data.values import Values

SAMPLE: Final = 1 << 16
"""Values of an image that are looked at, at most."""

_QUANTILES: Final = (0.001, 0.999)
_DEPTHS: Final = (8, 10, 12, 14, 15, 16, 24, 31, 32)
_FLOAT_TOPS: Final = (1.0, 255.0, 65535.0)
_REACHED: Final = 0.5
_SPANNED: Final = 0.25
_LOST: Final = 12
_WRITTEN_OUT: Final = 1e12


@dataclass(frozen=True)
class ValueRange:
    """The values of an image that become 0 and 255.

    Attributes:
        low: Becomes 0.
        high: Becomes 255.
        origin: Where they come from, in words; empty for 8-bit values, which are left alone.
        basis: The range that they depend on: the folder's, or they themselves.
    """

    low: float
    high: float
    origin: str
    basis: tuple[float, float]


def range_of(values: Values, inputs: InputConfig) -> ValueRange:
    """The range of one image.

    Args:
        values: Of it.
        inputs: How files become photographs.
    """
    if values.array.dtype == np.uint8:
        return _itself(0.0, 255.0, "")
    if inputs.value_range == "dtype":
        return _itself(*_whole(values), "the whole range of the type")
    if inputs.value_range != "auto":
        return _itself(*inputs.value_range, "as given")
    taken = sample(values)
    own, known = measured_range(taken), inputs.measured(values.kind)
    if known is None:
        return _itself(*own, "measured on this image; --range sets another")
    if not _is_lost(taken, *known):
        text = "measured on the images of the folder; --range sets another"
        return ValueRange(*known, text, known)
    folder = " to ".join(as_text(each) for each in known)
    text = (
        f"its own range, because it would be black or white in that of the folder ({folder});"
        " --range sets one for all"
    )
    return ValueRange(*own, text, known)


def _itself(low: float, high: float, origin: str) -> ValueRange:
    return ValueRange(low, high, origin, (low, high))


def _is_lost(taken: NDArray[Any], low: float, high: float) -> bool:
    """Whether an image is black or white in a range."""
    least, most = (float(each) for each in np.quantile(taken.astype(np.float64), _QUANTILES))
    edge = (high - low) / _LOST
    return most < low + edge or least > high - edge


def sample(values: Values) -> NDArray[Any]:
    """(n,) values of an image, from a regular grid of its pixels, `SAMPLE` at most; without pixels
    that hold no data.
    """
    height, width, bands = values.array.shape
    step = max(1, int(np.ceil(np.sqrt(height * width * bands / SAMPLE))))
    taken = values.array[::step, ::step]
    if values.ignored is not None:
        taken = taken[~values.ignored[::step, ::step]]
        if not taken.size:  # a thin part has data
            taken = values.array[~values.ignored][:SAMPLE]
    return taken.reshape(-1)


def measured_range(taken: NDArray[Any]) -> tuple[float, float]:
    """Low and high of the rule ``auto``, see the module's text.

    Args:
        taken: (n,) values, n > 0.
    """
    least, most = float(taken.min()), float(taken.max())
    low, high = (float(each) for each in np.quantile(taken.astype(np.float64), _QUANTILES))
    tops = (
        _FLOAT_TOPS
        if taken.dtype.kind == "f"
        else tuple(float((1 << depth) - 1) for depth in _DEPTHS)
    )
    top = next((each for each in tops if most <= each), None)
    if top is not None and least >= 0 and high >= _REACHED * top and high - low >= _SPANNED * top:
        return 0.0, top
    return (low, high) if low < high else (least, most)


def _whole(values: Values) -> tuple[float, float]:
    if values.array.dtype.kind == "f":
        return 0.0, 1.0
    if values.array.dtype.kind == "u":
        return 0.0, float((1 << values.bits) - 1)
    half = float(1 << (values.bits - 1))
    return -half, half - 1


def as_text(value: float) -> str:
    """A low or high as people write it: whole numbers with all their digits."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < _WRITTEN_OUT else f"{value:g}"
