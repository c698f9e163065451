"""Photographs from files: any mode and bit depth that Pillow decodes becomes (H, W, 3) uint8 RGB.

How modes become RGB:

- EXIF orientation is applied first of all, so height and width are those of the upright picture.
- Greyscale and 1-bit: the three channels are equal.
- 16-bit greyscale: linear over the full range, 65535 becomes 255. 16-bit colour: Pillow decodes the
  high bytes.
- 32-bit integers outside [0, 65535]: linear from the image's own minimum (0) to its own maximum
  (255).
- Floating point: [0, 1] becomes [0, 255]; images with values outside [0, 1] are scaled by their own
  range; a constant one is black. Values that are not finite are an error.
- Transparency (alpha channel, palette entries, colour key): composited over white. The colour key
  of 16-bit images is ignored.
- CMYK, including the inverted one of Adobe JPEGs, and YCbCr: Pillow's conversion, colour profiles
  are not applied. LAB: to sRGB.
- Files with several frames or pages: the first one.
- MAT files (version 5): the first three channels of the variable ``img``, (H, W, 3 or more) uint8.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import struct
from dataclasses import dataclass
from io import BufferedReader

import numpy as np
import PIL.Image
from PIL import ExifTags, ImageCms

from primaps.data.decoding import decoding, open_header
from primaps.data.matlab import array_shape, is_matlab, read_picture
from primaps.data.paths import printable
from primaps.errors import ConfigError, ImageError
from primaps.types import Image

_LOGGER = logging.getLogger(__name__)

_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation (Exif 2.32, tag 0x0112)."""
_SWAPPING = (5, 6, 7, 8)
_ALREADY_AVERAGEABLE = ("L", "RGB", "LA", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F")


@dataclass(frozen=True)
class Photo:
    """One photograph, reduced for processing, and what identifies it.

    Attributes:
        image: (h, w, 3) uint8 RGB, upright, h * w at most the ``max_pixels`` asked for.
        height: Own height in pixels, upright, before reduction.
        width: Own width in pixels, likewise.
        sha256: Hexadecimal SHA-256 of the file's bytes.
    """

    image: Image
    height: int
    width: int
    sha256: str


def read_image(path: str | os.PathLike[str], max_pixels: int | None = None) -> Image:
    """Read an image file. Thread-safe and deterministic.

    Args:
        path: An image file; its content decides about the format, not its extension.
        max_pixels: Reduce to at most this many pixels, aspect kept, by area averaging; None = own
            size.

    Returns:
        (H, W, 3) uint8 RGB, upright, contiguous and writable. See the module's text for modes other
        than RGB.

    Raises:
        ImageError: If the file is missing, empty, no image, damaged or too large; the message names
            it and what to do.
        ConfigError: If ``max_pixels`` is less than 1.
    """
    _check_max_pixels(max_pixels)
    with decoding(path) as stream:
        return _read(_open(stream, printable(path)), max_pixels, printable(path))[0]


def read_photo(path: str | os.PathLike[str], max_pixels: int) -> Photo:
    """Read an image file at reduced size, with its own size and checksum. Thread-safe and
    deterministic.

    The full-size image exists once, as decoded (a JPEG not even that: it is decoded at 1/2, 1/4 or
    1/8 where that suffices).

    Args:
        path: An image file.
        max_pixels: Upper bound on the pixels of the result; aspect kept, never enlarged.

    Raises:
        ImageError: If the file is missing, empty, no image, damaged or too large; the message names
            it and what to do.
        ConfigError: If ``max_pixels`` is less than 1.
    """
    _check_max_pixels(max_pixels)
    with decoding(path) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        image, (height, width) = _read(_open(stream, printable(path)), max_pixels, printable(path))
        return Photo(image=image, height=height, width=width, sha256=digest)


def count_pixels(path: str | os.PathLike[str]) -> int:
    """Width times height by the header of an image file; 0 if the file cannot be used, which
    reading it will explain.
    """
    try:
        with decoding(path) as stream:
            if is_matlab(stream):
                return math.prod(array_shape(stream, "img", ("uint8",), printable(path))[:2])
            with open_header(stream) as image:
                return image.width * image.height
    except ImageError:
        return 0


def upright(image: PIL.Image.Image, orientation: int) -> PIL.Image.Image:
    """Undo an EXIF orientation (1 = upright already)."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


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


def _open(stream: BufferedReader, name: str) -> PIL.Image.Image:
    return read_picture(stream, name) if is_matlab(stream) else open_header(stream)


def _check_max_pixels(max_pixels: int | None) -> None:
    if max_pixels is not None and max_pixels < 1:
        raise ConfigError(f"Expected max_pixels to be 1 or more, but got {max_pixels}.")


def _read(
    image: PIL.Image.Image, max_pixels: int | None, name: str
) -> tuple[Image, tuple[int, int]]:
    """(h, w, 3) uint8 and own upright (height, width) of an opened image."""
    own = image.size
    drafted = image.draft(None, _reduced_size(own, max_pixels))  # only JPEG does anything here
    image.load()
    if drafted is None:
        own = image.size  # TIFF is turned upright while loading
    box = drafted[1] if drafted is not None else (0, 0, *own)
    orientation = exif_orientation(image, name)
    image = _averageable(image)
    value_range = _value_range(image, name)
    size = _reduced_size(own, max_pixels)
    if image.size != size:
        image = image.resize(size, PIL.Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    image = upright(_to_rgb(image, value_range, name), orientation)
    width, height = own
    return np.array(image), ((width, height) if orientation in _SWAPPING else (height, width))


def _reduced_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """Largest (width, height) of the same aspect with at most ``max_pixels`` pixels, each side at
    least 1.
    """
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    reduced_width = min(max(1, int(width * scale)), max_pixels)
    reduced_height = min(max(1, int(height * scale)), max_pixels // reduced_width)
    return min(reduced_width, max_pixels // reduced_height), reduced_height


def _averageable(image: PIL.Image.Image) -> PIL.Image.Image:
    """The image in a mode whose values may be averaged, still at full size; most images are
    returned as they are.
    """
    if image.mode.startswith("I;16"):
        return image.convert("I")
    if image.mode in ("I", "F"):
        return image
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in _ALREADY_AVERAGEABLE else image.convert("RGB")


def _value_range(image: PIL.Image.Image, name: str) -> tuple[float, float]:
    """Values of a full-size image of mode I or F that become 0 and 255; (0, 255) for the other
    modes.
    """
    if image.mode not in ("I", "F"):
        return 0.0, 255.0
    low, high = (float(value) for value in image.getextrema())  # type: ignore[arg-type]  # one channel: two numbers
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageError(_not_finite(name))
    full = 65535.0 if image.mode == "I" else 1.0
    return (0.0, full) if low >= 0.0 and high <= full else (low, high)


def _to_rgb(image: PIL.Image.Image, value_range: tuple[float, float], name: str) -> PIL.Image.Image:
    if image.mode in ("I", "F"):
        low, high = value_range
        values = (np.asarray(image, dtype=np.float64) - low) * (
            255.0 / (high - low) if high > low else 0.0
        )
        if not np.isfinite(values).all():
            raise ImageError(_not_finite(name))
        return PIL.Image.fromarray(np.rint(values).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("LA", "RGBA"):
        white = PIL.Image.new("RGBA", image.size, "white")
        return PIL.Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
        return transform.apply(image)
    return image.convert("RGB")


def _not_finite(name: str) -> str:
    return (
        f"Expected finite pixel values, but {name} contains NaN or infinity. Replace them before"
        " segmenting."
    )
