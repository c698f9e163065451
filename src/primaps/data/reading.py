"""Photographs from files: any format, depth and number of bands becomes (H, W, 3) uint8 RGB.

`docs/inputs.md` has the table of what happens to which file. In short:

- EXIF orientation is applied, so height and width are those of the upright picture.
- 8-bit greyscale and 1-bit: the three channels are equal. Deeper values become 8-bit ones by one
  rule (`primaps.data.value_ranges`), bands are chosen (`primaps.data.bands`), pixels without data
  are filled and told apart.
- Transparency (alpha channel, palette entries, colour key): composited over white. The colour key
  of 16-bit images is ignored.
- Embedded colour profiles are converted to sRGB; CMYK without one, YCbCr: Pillow's conversion. LAB:
  to sRGB.
- Files with several frames or pages: the first one, unless another one is asked for.
- MAT files (version 5): the first three channels of the variable ``img``, (H, W, 3 or more) uint8.

Whatever is done to an image that is not plain 8-bit RGB is noted.
"""

from __future__ import annotations

import hashlib
import math
import os
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageCms

from primaps.colour_profiles import to_srgb
from primaps.config import InputConfig
from primaps.data.decoded import Decoded, decode, is_tiff, reduced_size
from primaps.data.decoding import JPEG_MEGAPIXELS, decoding, open_header
from primaps.data.heic import is_heic, open_heic
from primaps.data.matlab import array_shape, is_matlab
from primaps.data.orientation import SWAPPING, turned, upright, upright_mask
from primaps.data.paths import printable
from primaps.data.tiff import TiffFile
from primaps.errors import ConfigError, ImageError
from primaps.given import from_home
from primaps.types import Image, ReadingNote

USUAL: Final = InputConfig()
"""How files become photographs where nothing else is said: every image by itself."""

_ALREADY_AVERAGEABLE: Final = ("L", "RGB", "LA", "RGBA", "CMYK", "YCbCr", "LAB")


@dataclass(frozen=True)
class Photo:
    """One photograph, reduced for processing, and what identifies it.

    Attributes:
        image: (h, w, 3) uint8 RGB, upright, h * w at most the ``max_pixels`` asked for.
        height: Own height in pixels, upright, before reduction.
        width: Own width in pixels, likewise.
        sha256: Hexadecimal SHA-256 of the file's bytes.
        ignored: (height, width) bool pixels that hold no data, upright; None = all do.
        values: Kind, low and high of the range that it was stretched by, its own or the folder's;
            None = its values have 8 bits.
        notes: What was done to it because it is not plain 8-bit RGB.
    """

    image: Image
    height: int
    width: int
    sha256: str
    ignored: NDArray[np.bool_] | None = None
    values: tuple[str, float, float] | None = None
    notes: tuple[ReadingNote, ...] = ()


def read_image(
    path: str | os.PathLike[str],
    max_pixels: int | None = None,
    *,
    inputs: InputConfig = USUAL,
    page: int | None = None,
) -> Image:
    """Read an image file. Thread-safe and deterministic.

    Args:
        path: An image file; its content decides about the format, not its extension. ``~`` is the
            home folder.
        max_pixels: Reduce to at most this many pixels, aspect kept, by area averaging; None = own
            size.
        inputs: How values, bands and large images are treated.
        page: Of a file with several, from 1 on; None = the first.

    Returns:
        (H, W, 3) uint8 RGB, upright, contiguous and writable. See the module's text for modes other
        than RGB.

    Raises:
        ImageError: If the file is missing, empty, no image, damaged or too large; the message names
            it and what to do.
        ConfigError: If ``max_pixels`` is less than 1.
    """
    _check_max_pixels(max_pixels)
    path = image_path(path)
    with decoding(path) as stream:
        return _photo(decode(stream, printable(path), max_pixels, inputs, page), max_pixels).image


def image_path(path: object) -> str:
    """A path, with the user's home folder for ``~``.

    Raises:
        ImageError: If it is none, or an address.
    """
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        shown = repr(text) if text is not None else type(path).__name__
        raise ImageError(f"Expected the path of an image file, but got {shown}.")
    if text.startswith(("http://", "https://", "file://", "s3://", "gs://")):
        raise ImageError(
            f"Expected the path of an image file, but got the address {text}. Nothing is fetched:"
            " download the file, and give its path."
        )
    return from_home(text)


def read_photo(
    path: str | os.PathLike[str],
    max_pixels: int,
    *,
    inputs: InputConfig = USUAL,
    page: int | None = None,
    damage: bool = False,
) -> Photo:
    """Read an image file at reduced size, with its own size and checksum. Thread-safe and
    deterministic.

    The full-size image exists once, as decoded (a JPEG not even that: it is decoded at 1/2, 1/4 or
    1/8 where that suffices).

    Args:
        path: An image file.
        max_pixels: Upper bound on the pixels of the result; aspect kept, never enlarged.
        inputs: How values, bands and large images are treated.
        page: Of a file with several, from 1 on; None = the first.
        damage: Note what is wrong with the data of a JPEG, which decoders pass over.

    Raises:
        ImageError: If the file is missing, empty, no image, damaged or too large; the message names
            it and what to do.
        ConfigError: If ``max_pixels`` is less than 1.
    """
    _check_max_pixels(max_pixels)
    with decoding(path) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        decoded = decode(stream, printable(path), max_pixels, inputs, page)
        photo = replace(_photo(decoded, max_pixels), sha256=digest)
        note = _damage_note(stream) if damage else None
        return photo if note is None else replace(photo, notes=(note, *photo.notes))


def _damage_note(stream: BufferedReader) -> ReadingNote | None:
    stream.seek(0)
    if stream.read(3) != b"\xff\xd8\xff":
        return None
    from primaps.data.jpeg.damage import damage

    stream.seek(0)
    found = damage(stream.read())
    if found is None:
        return None
    text = f"The JPEG data are damaged: {found}. Parts of the picture may be wrong."
    return ReadingNote("damaged", text)


def count_pixels(path: str | os.PathLike[str]) -> int:
    """Width times height by the header of an image file; 0 if the file cannot be used, which
    reading it will explain.
    """
    try:
        with decoding(path) as stream:
            return math.prod(stored_size(stream, printable(path)))
    except ImageError:
        return 0


def stored_size(stream: BufferedReader, name: str) -> tuple[int, int]:
    """Width and height of an image as it lies in its file, by its header.

    Args:
        stream: As `primaps.data.decoding.decoding` yields it.
        name: Of the file, for messages.
    """
    start = stream.read(16)
    stream.seek(0)
    if is_matlab(stream):
        height, width = array_shape(stream, "img", ("uint8",), name)[:2]
        return width, height
    if is_tiff(start):
        return TiffFile(stream, name).size(0)
    image = open_heic(stream, name) if is_heic(start) else open_header(stream, JPEG_MEGAPIXELS)
    with image:
        return image.size


def _check_max_pixels(max_pixels: int | None) -> None:
    if max_pixels is not None and max_pixels < 1:
        raise ConfigError(f"Expected max_pixels to be 1 or more, but got {max_pixels}.")


def _photo(decoded: Decoded, max_pixels: int | None) -> Photo:
    """A decoded image reduced, in sRGB and upright; without a checksum."""
    image, orientation = _averageable(decoded.image), decoded.orientation
    size = reduced_size(decoded.size, max_pixels)
    if image.size != size:
        image = image.resize(size, PIL.Image.Resampling.BILINEAR, box=decoded.box, reducing_gap=2.0)
    image, note = _to_rgb(image, decoded.profile)
    notes = (*decoded.notes, *(() if note is None else (note,)))
    if orientation != 1:
        notes = (*notes, turned(orientation))
    width, height = decoded.size[::-1] if orientation in SWAPPING else decoded.size
    return Photo(
        image=np.array(upright(image, orientation)),
        height=height,
        width=width,
        sha256="",
        ignored=upright_mask(decoded.ignored, orientation),
        values=decoded.values,
        notes=tuple(dict.fromkeys(notes)),
    )


def _averageable(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image in a mode whose values may be averaged, still at full size; most images are
    returned as they are.
    """
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in _ALREADY_AVERAGEABLE else image.convert("RGB")


def _to_rgb(
    image: PIL.Image.Image, profile: bytes | None
) -> tuple[PIL.Image.Image, ReadingNote | None]:
    if image.mode in ("LA", "RGBA"):
        white = PIL.Image.new("RGBA", image.size, "white")
        flat = PIL.Image.alpha_composite(white, image.convert("RGBA"))
        return to_srgb(flat.convert("L" if image.mode == "LA" else "RGB"), profile)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return transform.apply(image), None
    return to_srgb(image if image.mode in ("L", "CMYK") else image.convert("RGB"), profile)
