"""How an image lies in its file, by EXIF or TIFF, and how it is turned upright."""

from __future__ import annotations

import logging
import struct
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ExifTags

from primaps.types import ReadingNote

_LOGGER = logging.getLogger(__name__)

_UPRIGHT: Final = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""
SWAPPING: Final = (5, 6, 7, 8)
"""Orientations that exchange width and height."""


def upright(image: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    """Undo an EXIF orientation (1 = upright already)."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def upright_mask(mask: NDArray[np.bool_] | None, orientation: int) -> NDArray[np.bool_] | None:
    """Undo an EXIF orientation of (H, W) bool pixels."""
    if mask is None or orientation == 1:
        return mask
    return np.array(upright(PIL.Image.fromarray(mask), orientation))


def turned(orientation: int) -> ReadingNote:
    """What there is to say of an image that lies turned in its file."""
    return ReadingNote("orientation", f"Turned upright, as its orientation ({orientation}) says.")


def exif_orientation(image: PIL.Image.Image, name: str) -> int:
    """EXIF orientation, 1..8, of a loaded image; 1 with a line in the log if the EXIF block cannot
    be parsed.

    Args:
        image: A loaded image (PNG may carry EXIF behind its pixels).
        name: The file, for the log.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (
        SyntaxError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        EOFError,
        struct.error,
    ) as error:
        _LOGGER.warning(
            "%s: the EXIF block is damaged (%s), so the image is taken as upright.", name, error
        )
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1
