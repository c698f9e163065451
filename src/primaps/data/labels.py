"""Label images from files: class ids as stored, palettes left alone."""

from __future__ import annotations

import os
from io import BufferedReader
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.data.decoding import decoding, open_header
from primaps.data.matlab import INTEGERS, is_matlab, read_array
from primaps.data.orientation import exif_orientation, upright
from primaps.data.paths import printable
from primaps.errors import DatasetError

_ID_MODES = ("1", "L", "P", "I")
_STEPS: Final = {"L;2": 85, "L;4": 17}
"""Factors by which grey values of 2 and 4 bits are stretched to 8."""


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.int64]:
    """Read a label image.

    Args:
        path: Image file with one channel (greyscale, indexed, 1-bit or 16-bit), normally a PNG; or
            a MAT file (version 5) with an (H, W) integer array ``gt``.

    Returns:
        (H, W) int64 ids as stored; of an indexed image the palette indices.

    Raises:
        DatasetError: If it has colour channels.
        ImageError: If it cannot be read.
    """
    name = printable(path)
    with decoding(path) as stream:
        if is_matlab(stream):
            return _from_matlab(stream, name)
        image = open_header(stream)
        step = _STEPS.get(_layout(image), 1)
        image.load()
        if image.mode not in _ID_MODES and not image.mode.startswith("I;16"):
            raise DatasetError(
                f"Expected a label image with one channel of class ids, but {name} has mode"
                f" {image.mode}. Save it as greyscale or indexed PNG whose pixel values are the"
                " class ids."
            )
        labels = np.array(upright(image, exif_orientation(image, name))).astype(np.int64)
        return labels // step


def _layout(image: Any) -> str:
    """How values lie in a file that is not loaded yet, in Pillow's words."""
    arguments = image.tile[0].args if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _from_matlab(stream: BufferedReader, name: str) -> NDArray[np.int64]:
    labels = read_array(stream, "gt", INTEGERS, name)
    if labels.ndim != 2:
        raise DatasetError(
            f"Expected 'gt' in {name} to have the shape (height, width), but got {labels.shape}."
            " Copy it again from its source."
        )
    return labels.astype(np.int64)
