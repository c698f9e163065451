"""Plain numeric arrays from MAT files of version 5, the form in which Potsdam is distributed.

A reader of our own for the one kind of variable that is needed: it checks every length against the
file before it believes it, makes nothing but arrays of numbers, and refuses the rest by name. (The
general readers restore objects, and damaged files can crash them.) Format: MathWorks, "MAT-File
Format", level 5.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from primaps.errors import ImageError

INTEGERS: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32")
"""Kinds of variables that hold whole numbers."""

_SIGNATURE: Final = b"MATLAB"
_VERSION_5: Final = b"MATLAB 5.0"
_FILE_HEADER: Final = 128  # bytes before the first variable; the last two give the byte order
_BYTE_ORDERS: Final = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_STORED: Final = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_KINDS: Final = (
    "",
    "cell",
    "struct",
    "object",
    "char",
    "sparse",
    "double",
    "single",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
)
_KIND_NAMES: Final = dict(enumerate((*_KINDS, "uint32", "int64", "uint64")))
_LOGICAL, _COMPLEX = 0x0200, 0x0800
_PREFIX: Final = 1024  # bytes that hold flags, dimensions and name of any variable that is of use


@dataclass(frozen=True)
class _Variable:
    """Where a variable lies, and what it says it is."""

    name: str
    kind: str
    shape: tuple[int, ...]
    order: str
    start: int
    size: int
    compressed: bool
    values: int


def is_matlab(stream: BufferedReader) -> bool:
    """Whether an open file begins as MAT files do; the position stays as it was."""
    return stream.peek(len(_SIGNATURE)).startswith(_SIGNATURE)


def array_shape(
    stream: BufferedReader, key: str, kinds: tuple[str, ...], name: str
) -> tuple[int, ...]:
    """Shape of one variable; its values are not read.

    Args:
        stream: The open file, at its start.
        key: Name of the variable.
        kinds: Acceptable MATLAB classes, for example ``("uint8",)``.
        name: The file, for messages.

    Raises:
        ImageError: If the file is of another version, or has no such variable of these classes.
        DecompressionBombError: If the array has more pixels than Pillow accepts of an image.
        ValueError: If the file is damaged.
    """
    return _find(stream, key, kinds, name).shape


def read_array(stream: BufferedReader, key: str, kinds: tuple[str, ...], name: str) -> NDArray[Any]:
    """One numeric array of a MAT file.

    Args:
        stream: The open file, at its start.
        key: Name of the variable.
        kinds: Acceptable MATLAB classes.
        name: The file, for messages.

    Returns:
        Array of the shape and class that the file states.

    Raises:
        ImageError: If the file is of another version, or has no such variable of these classes.
        DecompressionBombError: If the array has more pixels than Pillow accepts of an image.
        ValueError: If the file is damaged.
    """
    found = _find(stream, key, kinds, name)
    target = np.dtype(found.kind)
    count = math.prod(found.shape)
    content = _content(stream, found, found.values + 8 + count * target.itemsize)
    code, first, size = _tag(content, found.values, found.order)
    stored = np.dtype(found.order + _STORED.get(code, "c16"))
    if (
        not np.can_cast(stored, target, "safe")
        or size != count * stored.itemsize
        or first + size > len(content)
    ):
        raise ValueError(f"the values of {key!r} do not fit its description")
    return (
        np.frombuffer(content, stored, count, first).reshape(found.shape, order="F").astype(target)
    )


def read_picture(stream: BufferedReader, name: str) -> PIL.Image.Image:
    """The variable ``img``, (H, W, 3 or more) uint8, as an RGB picture; further channels (infrared)
    are dropped.

    Raises:
        ImageError: If there is no such variable.
        ValueError: If the file is damaged.
    """
    pixels = read_array(stream, "img", ("uint8",), name)
    if pixels.ndim != 3 or pixels.shape[2] < 3 or 0 in pixels.shape:
        raise ImageError(
            f"Expected 'img' in {name} to have the shape (height, width, 3 or more), but got"
            f" {pixels.shape}. Copy it again from its source or leave it out."
        )
    return PIL.Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


def _find(stream: BufferedReader, key: str, kinds: tuple[str, ...], name: str) -> _Variable:
    header = stream.read(_FILE_HEADER)
    if not header.startswith(_VERSION_5):
        raise ImageError(
            f"Expected a MAT file of version 5, but {name} is of another version. Write it again"
            " with scipy.io.savemat, or in MATLAB with save -v7."
        )
    others = []
    for variable in _variables(stream, _BYTE_ORDERS.get(header[-2:], "")):
        if variable.name == key and variable.kind in kinds:
            _refuse_bomb(variable.shape)
            return variable
        others.append(f"{variable.name} ({variable.kind})")
    raise ImageError(
        f"Expected a variable {key!r} of class {' or '.join(kinds)} in {name}, but it has"
        f" {', '.join(others) or 'no variable'}. Copy it again from its source or leave it out."
    )


def _variables(stream: BufferedReader, order: str) -> Iterator[_Variable]:
    """The variables of a file one after the other, by their descriptions alone."""
    if not order:
        raise ValueError("its byte order is not stated")
    end = os.fstat(stream.fileno()).st_size
    start = _FILE_HEADER
    while start < end:
        stream.seek(start)
        code, size = (
            int(number) for number in np.frombuffer(_exactly(stream.read(8), 8), f"{order}u4")
        )
        start += 8
        if code not in {_MATRIX, _COMPRESSED} or start + size > end:
            raise ValueError(f"no variable of {size} bytes at byte {start}")
        yield _describe(stream, order, start, size, compressed=code == _COMPRESSED)
        start += size


def _describe(
    stream: BufferedReader, order: str, start: int, size: int, *, compressed: bool
) -> _Variable:
    whole = _Variable("?", "object", (), order, start, size, compressed, 0)
    content = _content(stream, whole, _PREFIX)
    _, position, length = _tag(content, 0, order)
    flags = int(np.frombuffer(_exactly(content[position : position + 4], 4), f"{order}u4")[0])
    kind = _KIND_NAMES.get(flags & 0xFF, "")
    if not kind:
        return whole  # functions and the like are laid out differently
    kind = "complex" if flags & _COMPLEX else "logical" if flags & _LOGICAL else kind
    _, position, length = _tag(content, _next(position, length), order)
    shape = np.frombuffer(_exactly(content[position : position + length], length), f"{order}i4")
    _, first, letters = _tag(content, _next(position, length), order)
    name = _exactly(content[first : first + letters], letters).decode("latin-1")
    if len(shape) < 2 or shape.min() < 0:
        raise ValueError(f"{name!r} has the shape {shape.tolist()}")
    return _Variable(
        name, kind, tuple(shape.tolist()), order, start, size, compressed, _next(first, letters)
    )


def _content(stream: BufferedReader, variable: _Variable, limit: int) -> bytes:
    """The first ``limit`` bytes of a variable without its tag, or fewer if it ends before; unpacked
    if need be.
    """
    stream.seek(variable.start)
    if not variable.compressed:
        return stream.read(min(variable.size, limit))
    # Deflate never adds more than some bytes per block, so no more of the packed bytes can be
    # needed.
    packed = stream.read(min(variable.size, 2 * limit + _PREFIX))
    unpacked = zlib.decompressobj().decompress(packed, limit + 8)
    code, size = (
        int(number) for number in np.frombuffer(_exactly(unpacked[:8], 8), f"{variable.order}u4")
    )
    if code != _MATRIX:
        raise ValueError("a packed part is no variable")
    return unpacked[8 : 8 + size]


def _tag(content: bytes, position: int, order: str) -> tuple[int, int, int]:
    """Type, first byte and number of bytes of a part of a variable; parts of up to four bytes lie
    in their own tag.
    """
    head = _exactly(content[position : position + 8], 8)
    code, size = (int(number) for number in np.frombuffer(head, f"{order}u4"))
    if code >> 16:
        return code & 0xFFFF, position + 4, min(code >> 16, 4)
    return code, position + 8, size


def _next(first: int, size: int) -> int:
    """Where the part after one begins: at the next multiple of eight bytes."""
    return -(-(first + size) // 8) * 8


def _exactly(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise ValueError("it ends early")
    return data


def _refuse_bomb(shape: tuple[int, ...]) -> None:
    limit, pixels = PIL.Image.MAX_IMAGE_PIXELS, math.prod(shape[:2])
    if limit is not None and (pixels > 2 * limit or math.prod(shape) > 16 * limit):
        raise PIL.Image.DecompressionBombError(
            f"Array of shape {shape} exceeds the limit of {2 * limit} pixels."
        )
