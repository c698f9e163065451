"""Plain numeric arrays from MAT files of version 5, the form in which Potsdam is distributed.

Nothing in a file is run or restored as an object: the directory of the file is read first, and only a variable that it lists as
a numeric array of acceptable size is decoded.
"""

from __future__ import annotations

import math
from io import BufferedReader
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from primaps.errors import ImageError

_SIGNATURE: Final = b"MATLAB"
_VERSION_5: Final = b"MATLAB 5.0"
INTEGERS: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


def is_matlab(stream: BufferedReader) -> bool:
    """Whether an open file begins as MAT files do; the position stays as it was."""
    return stream.peek(len(_SIGNATURE)).startswith(_SIGNATURE)


def array_shape(stream: BufferedReader, key: str, kinds: tuple[str, ...], name: str) -> tuple[int, ...]:
    """Shape of one variable by the directory of the file; the array itself is not read.

    Args:
        stream: The open file, at its start; left there.
        key: Name of the variable.
        kinds: Acceptable MATLAB classes, for example ``("uint8",)``.
        name: The file, for messages.

    Raises:
        ImageError: If the file is of another version, or has no such variable of these classes.
        DecompressionBombError: If the array has more pixels than Pillow accepts of an image.
    """
    from scipy.io import whosmat

    if not stream.peek(len(_VERSION_5)).startswith(_VERSION_5):
        raise ImageError(
            f"Expected a MAT file of version 5, but {name} is of another version. Write it again with scipy.io.savemat, or in "
            "MATLAB with save -v7."
        )
    directory = {variable: (tuple(shape), kind) for variable, shape, kind in whosmat(stream, appendmat=False)}
    stream.seek(0)
    shape, kind = directory.get(key, ((), "nothing"))
    if kind not in kinds:
        found = ", ".join(f"{variable} ({kind})" for variable, (_, kind) in directory.items()) or "no variable"
        raise ImageError(
            f"Expected a variable {key!r} of class {' or '.join(kinds)} in {name}, but it has {found}. "
            "Copy it again from its source or leave it out."
        )
    _refuse_bomb(shape)
    return shape


def read_array(stream: BufferedReader, key: str, kinds: tuple[str, ...], name: str) -> NDArray[Any]:
    """One numeric array of a MAT file.

    Args:
        stream: The open file, at its start.
        key: Name of the variable.
        kinds: Acceptable MATLAB classes.
        name: The file, for messages.

    Raises:
        ImageError: If the file is of another version, or has no such variable of these classes.
        DecompressionBombError: If the array has more pixels than Pillow accepts of an image.
    """
    from scipy.io import loadmat

    array_shape(stream, key, kinds, name)
    array = loadmat(stream, appendmat=False, variable_names=(key,)).get(key)
    if not isinstance(array, np.ndarray) or array.dtype.name not in kinds:
        got = getattr(array, "dtype", None) or array
        raise ImageError(
            f"Expected {key!r} in {name} to be an array of {' or '.join(kinds)}, but got {got}. "
            "Copy it again from its source or leave it out."
        )
    return array


def read_picture(stream: BufferedReader, name: str) -> PIL.Image.Image:
    """The variable ``img``, (H, W, 3 or more) uint8, as an RGB picture; further channels (infrared) are dropped.

    Raises:
        ImageError: If there is no such variable.
    """
    pixels = read_array(stream, "img", ("uint8",), name)
    if pixels.ndim != 3 or pixels.shape[2] < 3 or 0 in pixels.shape:
        raise ImageError(
            f"Expected 'img' in {name} to have the shape (height, width, 3 or more), but got {pixels.shape}. "
            "Copy it again from its source or leave it out."
        )
    return PIL.Image.fromarray(np.ascontiguousarray(pixels[..., :3]))


def _refuse_bomb(shape: tuple[int, ...]) -> None:
    limit, pixels = PIL.Image.MAX_IMAGE_PIXELS, math.prod(shape[:2])
    if limit is not None and (pixels > 2 * limit or math.prod(shape) > 16 * limit):
        raise PIL.Image.DecompressionBombError(f"Array of shape {shape} exceeds the limit of {2 * limit} pixels.")
