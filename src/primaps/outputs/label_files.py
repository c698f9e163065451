"""Label maps and mask proposals as PNG files, with a few words in the header that say what they
were made from.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import PngImagePlugin

from primaps.errors import ImageError, OutputError
from primaps.outputs.visualize import MAX_COLOURS, palette
from primaps.runs.store import atomic_write
from primaps.types import IGNORE_INDEX

MAX_PROPOSALS: Final = 65535

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_END: Final = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_COMPRESS_LEVEL: Final = 1  # label images are flat: higher levels take much longer and save little


def write_label_map(
    path: Path, label_map: NDArray[np.integer[Any]], info: Mapping[str, str]
) -> None:
    """Write a label map as an 8-bit indexed PNG: the pixel value is the id, the palette only
    colours it.

    Id i has the colour `primaps.outputs.visualize.palette` gives it; 255 (ignored) is black. Equal
    input gives equal bytes.

    Args:
        path: Where to write; parent folders are made, an existing file is replaced in one step.
        label_map: (H, W) integers, 0..254, or 255 where ignored.
        info: Strings kept in the header, read back by `read_png_info`.

    Raises:
        OutputError: If the ids do not fit 8 bits, ``info`` does not fit a PNG header, or the file
            cannot be written.
    """
    _check_ids(
        label_map, IGNORE_INDEX, "A label map holds class ids 0..254, and 255 where ignored."
    )
    picture = PILImage.fromarray(np.ascontiguousarray(label_map, dtype=np.uint8))
    picture.putpalette(palette(MAX_COLOURS).tobytes() + bytes(3))
    _write_png(path, picture, info)


def write_proposals(
    path: Path, label_image: NDArray[np.integer[Any]], info: Mapping[str, str]
) -> None:
    """Write mask proposals as a 16-bit greyscale PNG: the pixel value is the proposal's id, 0 =
    unassigned.

    Equal input gives equal bytes.

    Args:
        path: Where to write; parent folders are made, an existing file is replaced in one step.
        label_image: (H, W) integers, 0..65535.
        info: Strings kept in the header, read back by `read_png_info`.

    Raises:
        OutputError: If the ids do not fit 16 bits, ``info`` does not fit a PNG header, or the file
            cannot be written.
    """
    _check_ids(
        label_image, MAX_PROPOSALS, "Extract fewer proposals: set max_masks or a larger min_area."
    )
    _write_png(path, PILImage.fromarray(np.ascontiguousarray(label_image, dtype=np.uint16)), info)


def write_certainty(path: Path, levels: NDArray[np.uint8], info: Mapping[str, str]) -> None:
    """Write certainties as an 8-bit greyscale PNG: the pixel value is the certainty times 255.

    Args:
        path: Where to write; parent folders are made, an existing file is replaced in one step.
        levels: (H, W) uint8.
        info: Strings kept in the header, read back by `read_png_info`.

    Raises:
        OutputError: If the file cannot be written.
    """
    _write_png(path, PILImage.fromarray(np.ascontiguousarray(levels)), info)


def read_png_info(path: Path, *, whole: bool = False) -> dict[str, str]:
    """The strings in a PNG's header, without decoding its pixels: is the file finished and up to
    date?

    Reads the chunks before the pixels (with their checksums) and the last twelve bytes.

    Args:
        path: The file, which need not exist.
        whole: Compare the checksums of the compressed pixels as well.

    Returns:
        The strings given to `write_label_map` or `write_proposals`. Empty for whatever cannot vouch
        for itself and has to be made anew: a missing, truncated or damaged file, one that is no
        PNG, or one without strings.

    Raises:
        OutputError: If the file is there and may not be read.
    """
    try:
        with path.open("rb") as file:
            return _header_strings(file, whole=whole)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise OutputError(
            f"Expected {path} to be a readable file, but got: {error}. Check its permissions."
        ) from error


def read_png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header; (0, 0) where there is none.

    Raises:
        OutputError: If the file is there and may not be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(24)
    except (FileNotFoundError, NotADirectoryError):
        return 0, 0
    except OSError as error:
        raise OutputError(
            f"Expected {path} to be a readable file, but got: {error}. Check its permissions."
        ) from error
    if len(start) < 24 or not start.startswith(_SIGNATURE):
        return 0, 0
    width, height = struct.unpack(">II", start[16:])
    return width, height


def read_label_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.int32]:
    """Read a label map or mask proposals back.

    Args:
        path: A PNG with one channel, indexed or grey, of up to 16 bits.
        size: (height, width) to sample it at, which takes much less memory for a large one; None =
            its own.

    Returns:
        (H, W) int32 ids; at another size each pixel has the id found at its centre.

    Raises:
        ImageError: If the file is missing, damaged, or has more than one channel.
    """
    try:
        content = path.read_bytes()
        _refuse_damaged(content)
        # Not PIL.Image.open: it takes label maps of large photographs for decompression bombs.
        with PngImagePlugin.PngImageFile(io.BytesIO(content)) as picture:
            mode = picture.mode
            if mode in {"P", "L", "I;16", "I"}:
                sampled = (
                    picture
                    if size is None
                    else picture.resize(size[::-1], PILImage.Resampling.NEAREST)
                )
                return np.asarray(sampled).astype(np.int32)
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise ImageError(
            f"Expected {path} to be a label image (PNG), but it cannot be read: {error}. Delete it"
            " and run again to make it anew."
        ) from error
    raise ImageError(
        f"Expected {path} to be a PNG with one channel of ids, but got colour mode {mode}."
    )


def _check_ids(label_image: NDArray[np.integer[Any]], largest: int, advice: str) -> None:
    if (
        label_image.ndim != 2
        or not np.issubdtype(label_image.dtype, np.integer)
        or label_image.size == 0
    ):
        raise OutputError(
            f"Expected ids to be (H, W) whole numbers, but got shape {label_image.shape} and dtype"
            f" {label_image.dtype}."
        )
    low, high = int(label_image.min()), int(label_image.max())
    if low < 0 or high > largest:
        raise OutputError(
            f"Expected ids to be between 0 and {largest}, but got {low}..{high}. {advice}"
        )


def _write_png(path: Path, picture: PILImage.Image, info: Mapping[str, str]) -> None:
    header = PngImagePlugin.PngInfo()
    for key, value in info.items():
        header.add(b"iTXt", _text_chunk(key, value))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=_COMPRESS_LEVEL, pnginfo=header)
    atomic_write(path, buffer.getvalue())


def _text_chunk(key: str, value: str) -> bytes:
    """International text, uncompressed (PNG specification, 11.3.3.4)."""
    if not (key.isascii() and key.isprintable() and key == key.strip() and 1 <= len(key) <= 79):
        raise OutputError(
            f"Expected keys of info to be 1 to 79 printable ASCII characters, but got {key!r}."
        )
    try:
        return key.encode("ascii") + b"\0\0\0\0\0" + value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(
            f"Expected info[{key!r}] to be text, but got {value!r}: {error}."
        ) from error


def _header_strings(file: BinaryIO, *, whole: bool) -> dict[str, str]:
    strings: dict[str, str] = {}
    if file.read(len(_SIGNATURE)) != _SIGNATURE:
        return {}
    while True:
        head = file.read(8)
        if len(head) < 8:
            return {}
        length, kind = struct.unpack(">I4s", head)
        if kind in {b"IDAT", b"IEND"}:
            break
        body, checksum = file.read(length), file.read(4)
        if checksum != zlib.crc32(kind + body).to_bytes(4, "big"):
            return {}
        key, _, rest = body.partition(b"\0")
        if kind == b"iTXt" and rest.startswith(b"\0\0\0\0"):
            strings[key.decode("latin-1")] = rest[4:].decode("utf-8", "replace")
    if whole:
        file.seek(0)
        return strings if _is_whole(file.read()) else {}
    file.seek(-len(_END), io.SEEK_END)
    return strings if file.read() == _END else {}


def _refuse_damaged(content: bytes) -> None:
    """Raises ValueError for a PNG that is cut off or does not fit its checksums."""
    if content.startswith(_SIGNATURE) and not _is_whole(content):
        raise ValueError("it is cut off, or does not fit its checksums")


def _is_whole(content: bytes) -> bool:
    """Whether all chunks of a PNG are there and fit their checksums, which Pillow does not compare
    for pixels.
    """
    place, kind = len(_SIGNATURE), b""
    while kind != b"IEND":
        head = content[place : place + 8]
        if len(head) < 8:
            return False
        length, kind = struct.unpack(">I4s", head)
        end = place + 8 + length
        if zlib.crc32(content[place + 4 : end]).to_bytes(4, "big") != content[end : end + 4]:
            return False
        place = end + 4
    return True
