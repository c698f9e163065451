"""HEIC files, as phones write them, through pi-heif (extra ``formats``)."""

from __future__ import annotations

import importlib.util
from io import BufferedReader
from typing import Final

import PIL.Image

from primaps.errors import ImageError

_BRANDS: Final = (
    *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    *(b"mif1", b"msf1"),
)


def is_heic(start: bytes) -> bool:
    """Whether a file that starts like this is a HEIF file of HEVC pictures."""
    return start[4:8] == b"ftyp" and start[8:12] in _BRANDS


def open_heic(stream: BufferedReader, name: str) -> PIL.Image.Image:
    """Open a HEIC file; pixels are decoded later, upright. Nothing is registered with Pillow.

    Raises:
        ImageError: If pi-heif is not installed, or the file is damaged.
    """
    if importlib.util.find_spec("pi_heif") is None:
        raise ImageError(
            f"Expected an image that can be read without further packages, but {name} is a HEIC"
            " file. Install them: pip install 'primaps[formats]', or export it as JPEG."
        )
    from pi_heif.as_plugin import HeifImageFile

    stream.seek(0)
    try:
        image: PIL.Image.Image = HeifImageFile(stream)
    except (SyntaxError, ValueError, RuntimeError) as error:
        raise ImageError(
            f"Expected a complete image, but {name} is a damaged HEIC file ({error}). Copy it again"
            " or leave it out."
        ) from error
    return image
