"""JPEG 2000 of more than 8 bits. Of colours Pillow keeps the upper eight, so they come through
imagecodecs (extra ``formats``); grey values it moves up to 16 bits.
"""

from __future__ import annotations

import importlib.util
from io import BufferedReader
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

COLOURS: Final = ("LA", "RGB", "RGBA")
"""Modes of which Pillow keeps the upper eight bits."""
_START: Final = b"\xff\x4f\xff\x51"
"""Of a codestream: its size segment follows at once (ISO/IEC 15444-1, A.5.1)."""
_DEPTH: Final = 42
"""Bytes from there to the depth of the first component."""
_SEARCHED: Final = 1 << 16


def deep_bits(image: PIL.Image.Image, stream: BufferedReader) -> int:
    """Bits of a JPEG 2000, not loaded yet, if there are more than 8; otherwise 0."""
    if image.format != "JPEG2000" or image.mode not in {*COLOURS, "I;16"}:
        return 0
    stream.seek(0)
    head = stream.read(_SEARCHED)
    place = head.find(_START)
    if place < 0 or len(head) <= place + _DEPTH:
        return 0
    bits = (head[place + _DEPTH] & 0x7F) + 1
    return bits if bits > 8 else 0


def can_decode() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("imagecodecs") is not None


def jp2_pixels(stream: BufferedReader) -> NDArray[Any]:
    """(H, W, C) integers of a colour JPEG 2000.

    Raises:
        ValueError: If they are no colours after all.
    """
    import imagecodecs

    stream.seek(0)
    array = np.asarray(imagecodecs.jpeg2k_decode(stream.read()))
    if array.ndim != 3 or array.shape[2] not in {2, 3, 4} or array.dtype.kind not in "ui":
        raise ValueError(f"values of shape {array.shape} and type {array.dtype}")
    return array


def grey_pixels(image: PIL.Image.Image, bits: int) -> NDArray[np.uint16]:
    """(H, W, 1) uint16 of a grey one, as they are stored.

    Args:
        image: Of mode I;16.
        bits: From `deep_bits`.
    """
    moved: NDArray[np.uint16] = np.asarray(image).astype(np.uint16)[..., None]
    return moved >> np.uint16(max(0, 16 - bits))
