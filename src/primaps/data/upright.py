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

from primaps.config import InputConfig
from primaps.data.decoded import is_tiff
from primaps.data.decoding import JPEG_MEGAPIXELS, decoding, open_header
from primaps.data.heic import is_heic, open_heic
from primaps.data.matlab import array_shape, is_matlab
from primaps.data.orientation import SWAPPING, exif_orientation, upright
from primaps.data.paths import printable
from primaps.data.reading import USUAL, read_image
from primaps.data.tiff import TiffFile

_QUALITY: Final = 95
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True)
class Standing:
    """How a photograph lies in its file.

    Attributes:
        height: Upright, in pixels.
        width: Likewise.
        turned: The file says that it has to be turned or mirrored.
        swapped: It has to be turned by a quarter, which exchanges height and width.
    """

    height: int
    width: int
    turned: bool
    swapped: bool = False


def standing(path: str | os.PathLike[str], page: int | None = None) -> Standing:
    """How a photograph lies in its file. JPEGs are not decoded for that.

    Args:
        path: An image file.
        page: Of a file of several, from 1 on; None = the first.

    Raises:
        ImageError: If it is missing or no image.
    """
    with decoding(path) as stream:
        if is_matlab(stream):
            height, width = array_shape(stream, "img", ("uint8",), printable(path))[:2]
            return Standing(height, width, turned=False)
        if is_tiff(stream.read(16)):
            file = TiffFile(stream, printable(path))
            number = 0 if page is None else page - 1
            (width, height), orientation = file.size(number), file.orientation(number)
        else:
            image, orientation = _opened(stream, printable(path), page)
            width, height = image.size
        if orientation in SWAPPING:
            width, height = height, width
        return Standing(height, width, turned=orientation != 1, swapped=orientation >= 5)


def upright_bytes(
    path: str | os.PathLike[str], page: int | None = None, inputs: InputConfig = USUAL
) -> bytes:
    """The bytes of an image file; one that lies turned is turned and encoded again in its format,
    without the tag, a JPEG with a quality of 95. A page of several is a PNG of the picture as it is
    read, a TIFF file that lies turned and that Pillow does not read as it is meant an 8-bit TIFF.

    Args:
        path: An image file.
        page: Of a file of several, from 1 on; None = the file is one image.
        inputs: How values and bands become those of a photograph.

    Raises:
        ImageError: If it is missing, no image or damaged.
    """
    with decoding(path) as stream:
        name = printable(path)
        if is_matlab(stream):
            stream.seek(0)
            return stream.read()
        tiff = is_tiff(stream.read(16))
        if page is not None:
            return _as_read(path, page, inputs, "PNG")
        if not tiff:
            image, orientation = _opened(stream, name)
            if orientation != 1:
                return _encoded(image, orientation)
        else:
            file = TiffFile(stream, name)
            if file.orientation(0) != 1:
                if not file.is_usual():
                    return _as_read(path, page, inputs, "TIFF")
                return _encoded(*_opened(stream, name))
        stream.seek(0)
        return stream.read()


def _as_read(
    path: str | os.PathLike[str], page: int | None, inputs: InputConfig, kind: str
) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(read_image(path, inputs=inputs, page=page)).save(buffer, format=kind)
    return buffer.getvalue()


def _opened(
    stream: BufferedReader, name: str, page: int | None = None
) -> tuple[PIL.Image.Image, int]:
    """An image and its orientation, 1..8."""
    stream.seek(0)
    start = stream.read(16)
    if is_heic(start):
        return open_heic(stream, name), 1
    image = open_header(stream, JPEG_MEGAPIXELS)
    if page is not None:
        image.seek(page - 1)
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
