"""Opening image files: one place that turns whatever can go wrong into an `ImageError`."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from primaps.data.foreign_files import NEEDED, foreign_kind
from primaps.data.paths import printable
from primaps.data.pillow_warnings import PILLOW_WARNINGS
from primaps.data.raw_files import is_raw, raw_message
from primaps.errors import ImageError, PrimapsError

FORMATS: Final = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "PPM", "GIF", "JPEG2000", "AVIF")
"""Pillow's names of the formats that are read: a closed list, because others start programs (EPS)
or have no signature (TGA).
"""

MEGAPIXELS: Final = 179
"""Of the largest image that is decoded, unless another limit is given."""
_BYTES_PER_PIXEL: Final = 3
"""Of deep values, per pixel of the largest image: so that they and their 8-bit copies take 1.5 GB.
"""
_PREFIX: Final = 16
"""Bytes of a file's start by which formats know their own."""
JPEG_MEGAPIXELS: Final = 400
"""Of the largest JPEG that is decoded at a fraction of its size."""


class RareKindError(UnidentifiedImageError):
    """A file starts like one of `FORMATS`, but is damaged or of a kind that is not read."""


class _Bounded(BufferedReader):
    """A file of which no more bytes are asked for than it has: headers that lie would take as much
    memory as they say.
    """

    def __init__(self, raw: FileIO) -> None:
        super().__init__(raw)
        self._size = os.fstat(raw.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """See `BufferedReader`."""
        return super().read(size if size is None else min(size, self._size))


@contextmanager
def decoding(path: str | os.PathLike[str]) -> Iterator[BufferedReader]:
    """Open an image file; every error inside the ``with`` block leaves it as an `ImageError` that
    names the file.

    No state of Pillow is changed; in particular its decompression bomb limit stays as the
    application set it.

    Args:
        path: A regular file.

    Yields:
        The open binary file, at its start.

    Raises:
        ImageError: If the file is missing, empty, no regular file, not readable, no image, damaged
            or too large.
    """
    name = printable(path)
    _check_file(Path(path), name)
    try:
        with PILLOW_WARNINGS.reading(name), _Bounded(FileIO(path)) as stream:
            yield stream
    except PrimapsError:
        raise
    except PermissionError as error:
        raise ImageError(
            f"Expected a readable image file, but there is no permission to read {name}. Change its"
            " rights."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(_not_an_image(Path(path), name, error)) from error
    except Image.DecompressionBombError as error:  # a frame is larger than the header says
        raise ImageError(
            f"Expected an image of usual size, but got {name}: {error} Make it smaller or leave it"
            " out."
        ) from error
    except MemoryError as error:
        raise ImageError(
            f"Expected {name} to fit into memory, but it does not. Make the image smaller or leave"
            " it out."
        ) from error
    # decoders raise anything from SyntaxError to struct.error when a file is damaged
    except Exception as error:
        detail = f"{error}" or type(error).__name__
        raise ImageError(
            f"Expected a complete image, but {name} is damaged or truncated ({detail}). Copy it"
            " again or leave it out."
        ) from error


def open_header(stream: BufferedReader, megapixels: int = MEGAPIXELS) -> Image.Image:
    """Identify an image by its content; pixels are decoded later. Call inside `decoding`.

    Args:
        stream: Binary file as `decoding` yields it.
        megapixels: Larger images are refused; JPEGs, which may be decoded at a fraction of their
            size, only above `JPEG_MEGAPIXELS`.

    Raises:
        ImageError: If it is too large.
        RareKindError: If it starts like one of `FORMATS` and cannot be used.
        UnidentifiedImageError: If it is none of them.
    """
    details: list[str] = []
    Image.init()  # AVIF and others are registered only if this build of Pillow has them
    stream.seek(0)
    prefix = stream.read(_PREFIX).ljust(_PREFIX, b"\0")  # some ask for 4 bytes
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None:
            continue
        accepted = accept is None or accept(prefix)
        if not accepted or isinstance(accepted, str):  # a text says why this build cannot
            continue
        stream.seek(0)
        try:
            image: Image.Image = factory(stream, "")  # Image.open, but with a limit of our own
        # as in Pillow's own loop: not this format after all
        except (SyntaxError, IndexError, TypeError, struct.error) as error:
            details.append(f"{name}: {error}")
            continue
        most = JPEG_MEGAPIXELS if name == "JPEG" else megapixels
        check_pixels(image.size, max(megapixels, most), printable(stream.name))
        return image
    if details:
        raise RareKindError(details[0])
    raise UnidentifiedImageError(f"cannot identify {stream.name!r}")


def check_pixels(size: tuple[int, int], megapixels: int, name: str) -> None:
    """Refuse an image that is too large.

    Args:
        size: Width and height in pixels.
        megapixels: The limit.
        name: Of the file.

    Raises:
        ImageError: If it has more.
    """
    width, height = size
    if width * height > megapixels * 1_000_000:
        raise ImageError(
            f"Expected an image of usual size, at most {megapixels} megapixels, but {name} has"
            f" {width * height / 1e6:.0f} ({width} x {height}). Make it smaller, or, if"
            " there is memory for it, raise --max-megapixels of `primaps segment` or `primaps"
            " predict`."
        )


def check_bytes(number: int, megapixels: int, name: str) -> None:
    """Refuse deep values that take too much memory.

    Args:
        number: Bytes that they take while they are decoded.
        megapixels: Of the largest image, for each of which there are `_BYTES_PER_PIXEL`.
        name: Of the file.

    Raises:
        ImageError: If they take more.
    """
    most = megapixels * 1_000_000 * _BYTES_PER_PIXEL
    if number > most:
        raise ImageError(
            f"Expected at most {most / 1e9:.2g} GB of values, but {name} has {number / 1e9:.3g}."
            " Make it smaller, or, if there is memory for it, raise --max-megapixels of `primaps"
            " segment` or `primaps predict`."
        )


def _check_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise ImageError(_not_there(path, name, error)) from error
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(
            f"Expected an image file, but {name} is a folder. Give the files in it, or the folder"
            " to a command for folders."
        )
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(
            f"Expected an image file, but {name} is no regular file (a pipe, socket or device)."
            " Leave it out."
        )
    if status.st_size == 0:
        raise ImageError(
            f"Expected an image, but {name} is empty (0 bytes). Copy it again from its source or"
            " leave it out."
        )


def _not_there(path: Path, name: str, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return (
            f"Expected a readable image file, but there is no permission to reach {name}. Change"
            " the rights of its folder."
        )
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        target = printable(path.readlink())
        return (
            f"Expected an image file, but {name} is a link to {target}, which does not exist."
            " Restore it or remove the link."
        )
    if isinstance(error, FileNotFoundError):
        return f"Expected an image file at {name}, but there is none. Check the path."
    return f"Expected the path of an image file, but got {name!r} ({error}). Check the path."


def _not_an_image(path: Path, name: str, error: UnidentifiedImageError) -> str:
    with path.open("rb") as stream:
        start = stream.read(NEEDED)
    if is_raw(start):
        return raw_message(name)
    if isinstance(error, RareKindError):
        return (
            f"Expected a complete image of a usual kind, but {name} is damaged or of a rare kind"
            f" ({error}). Save it again with another program or leave it out."
        )
    foreign = foreign_kind(start)
    if foreign is not None:
        kind, advice = foreign
        return f"Expected an image ({', '.join(FORMATS)}), but {name} is {kind}. {advice}"
    return (
        f"Expected an image ({', '.join(FORMATS)}), but the content of {name} is none of these (it"
        f" starts with {start[:16]!r}). Convert it or leave it out."
    )
