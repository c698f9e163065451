"""Photographs and id maps as the viewer takes them, and those of one image in so many bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from primaps.outputs.visualize import thumbnail
from primaps.types import Image

QUALITY: Final = 88
"""Of a JPEG where bytes do not count."""
REPORT_SIDE: Final = 640
"""Longest side of photographs and id maps in a report."""

_COMPRESSION: Final = 6
_QUALITIES: Final = (QUALITY, 82, 75, 66, 56)
_SIDES: Final = (REPORT_SIDE, 512, 400, 320, 240, 160, 96, 48)
_CERTAINTY_SIDES: Final = (240, 160, 96, 48)
_MAPS_PART: Final = 0.5
_CERTAINTY_PART: Final = 0.15
_GREY: Final = 128


@dataclass(frozen=True)
class Packed:
    """A picture or maps, and their size.

    Attributes:
        width: In pixels.
        height: Likewise.
        data: JPEG, or zlib of ids or certainties.
    """

    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class EmbeddedImage:
    """What a report holds of one image.

    Attributes:
        photo: JPEG.
        maps: As of `packed_ids`.
        certainty: zlib of uint8, 255 for 1; None = there is no map of it.
    """

    photo: Packed
    maps: Packed
    certainty: Packed | None = None


def jpeg(pixels: Image, quality: int = QUALITY) -> bytes:
    """(H, W, 3) uint8 RGB as JPEG; equal pixels give equal bytes."""
    buffer = io.BytesIO()
    PILImage.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def packed_ids(maps: Sequence[NDArray[np.integer[Any]]]) -> bytes:
    """(H, W) ids, 0..65535, one map after the other: zlib of little-endian uint16."""
    raw = b"".join(each.astype("<u2").tobytes() for each in maps)
    return zlib.compress(raw, _COMPRESSION)


def packed_levels(levels: NDArray[np.uint8]) -> bytes:
    """(H, W) uint8 as zlib."""
    return zlib.compress(levels.tobytes(), _COMPRESSION)


def missing_photo(width: int, height: int) -> Image:
    """(h, w, 3) uint8 plain grey, where a photograph is gone; of the shape of the image."""
    scale = min(1.0, 64 / max(width, height))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return np.full((*size, 3), _GREY, dtype=np.uint8)


def fitted(
    photo: Image,
    maps: Callable[[int], Packed],
    certainty: Callable[[int], Packed | None],
    most: int,
) -> EmbeddedImage:
    """One image for a report: as large and as good as its bytes allow.

    Where a photograph takes too much, its quality is lowered, then its side. What does not fit at
    the smallest size either, which takes some thousand bytes, is taken at that.

    Args:
        photo: (H, W, 3) uint8 RGB, whose long side is about `REPORT_SIDE`.
        maps: Gives the id maps at a longest side.
        certainty: Gives the certainty at a longest side.
        most: Bytes of all together.
    """
    levels = _first_within(certainty, _CERTAINTY_SIDES, most * _CERTAINTY_PART)
    left = most - (0 if levels is None else len(levels.data))
    ids = _first_within(maps, _SIDES, left * _MAPS_PART)
    assert ids is not None  # maps are always given
    return EmbeddedImage(_fitted_photo(photo, left - len(ids.data)), ids, levels)


def _first_within(
    make: Callable[[int], Packed | None], sides: Sequence[int], most: float
) -> Packed | None:
    """At the largest side at which it takes no more bytes; else at the smallest."""
    found = None
    for side in sides:
        found = make(side)
        if found is None or len(found.data) <= most:
            break
    return found


def _fitted_photo(photo: Image, most: int) -> Packed:
    data = b""
    for side in _SIDES:
        pixels = thumbnail(photo, side)
        for quality in _QUALITIES:
            data = jpeg(pixels, quality)
            if len(data) <= most:
                return Packed(pixels.shape[1], pixels.shape[0], data)
    return Packed(pixels.shape[1], pixels.shape[0], data)
