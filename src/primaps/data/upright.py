"""Photographs as files that need not be turned: the bytes of a file, or upright ones where EXIF or
TIFF say that it lies turned.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Final

import PIL.Image

from primaps.data.decoding import decoding, open_header
from primaps.data.matlab import array_shape, is_matlab
from primaps.data.orientation import exif_orientation, upright
from primaps.data.paths import printable

_QUALITY: Final = 95
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True)
class Standing:
    """How a photograph lies in its file.

    Attributes:
        height: Upright, in pixels.
        width: Likewise.
        turned: The file says that it has to be turned or mirrored.
    """

    height: int
    width: int
    turned: bool


def standing(path: str | os.PathLike[str]) -> Standing:
    """How a photograph lies in its file. JPEGs are not decoded for that.

    Args:
        path: An image file.

    Raises:
        ImageError: If it is missing or no image.
    """
    with decoding(path) as stream:
        if is_matlab(stream):
            height, width = array_shape(stream, "img", ("uint8",), printable(path))[:2]
            return Standing(height, width, turned=False)
        image, orientation = _opened(stream, printable(path))
        width, height = image.size
        if orientation >= 5 and image.format != "TIFF":  # Pillow turns a TIFF by itself
            width, height = height, width
        return Standing(height, width, turned=orientation != 1)


def upright_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an image file; one that lies turned is turned and encoded again in its format,
    without the tag, a JPEG with a quality of 95.

    Args:
        path: An image file.

    Raises:
        ImageError: If it is missing, no image or damaged.
    """
    with decoding(path) as stream:
        if not is_matlab(stream):
            image, orientation = _opened(stream, printable(path))
            if orientation != 1:
                return _encoded(image, orientation)
        stream.seek(0)
        return stream.read()


def _opened(stream: BufferedReader, name: str) -> tuple[PIL.Image.Image, int]:
    """An image and its orientation, 1..8."""
    image = open_header(stream)
    if image.format == "TIFF":
        value = image.getexif().get(_ORIENTATION, 1)
        image.load()
        return image, value if value in range(1, 9) else 1
    if image.format == "PNG":  # may carry EXIF behind its pixels
        image.load()
    return image, exif_orientation(image, name)


def _encoded(image: PIL.Image.Image, orientation: int) -> bytes:
    kind = "JPEG" if image.format == "MPO" else image.format
    profile = image.info.get("icc_profile")
    options: dict[str, Any] = {"icc_profile": profile} if profile else {}
    if kind == "JPEG":
        options |= {"quality": _QUALITY, "subsampling": 0}
    elif kind == "WEBP":
        options |= {"lossless": True}
    elif kind == "AVIF":
        options |= {"quality": 100}
    image.load()
    turned = image if kind == "TIFF" else upright(image, orientation)
    for key in ("exif", "xmp", "XML:com.adobe.xmp"):
        turned.info.pop(key, None)
    buffer = io.BytesIO()
    turned.save(buffer, format=kind, exif=PIL.Image.Exif(), **options)
    return buffer.getvalue()
