"""Colour PPM files of more than 8 bits with all their bits, of which Pillow keeps the upper
eight.
"""

from __future__ import annotations

from io import BufferedReader

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.PpmImagePlugin import PpmImageFile


def deep_bits(image: PIL.Image.Image) -> int:
    """Bits of a binary colour PPM, not loaded yet, if there are more than 8; otherwise 0."""
    if not isinstance(image, PpmImageFile) or image.mode != "RGB" or not image.tile:
        return 0
    tile = image.tile[0]
    if tile.codec_name != "ppm" or not isinstance(tile.args, tuple):
        return 0
    bits = int(tile.args[1]).bit_length()
    return bits if bits > 8 else 0


def ppm_pixels(image: PIL.Image.Image, stream: BufferedReader) -> NDArray[np.uint16]:
    """(H, W, 3) uint16 pixels of a file for which `deep_bits` says more than 0.

    Raises:
        ValueError: If the file is truncated.
    """
    assert isinstance(image, PpmImageFile)
    stream.seek(image.tile[0].offset)
    size = image.height * image.width * 6
    content = stream.read(size)
    if len(content) < size:
        raise ValueError(f"{size - len(content)} bytes are missing")
    pixels = np.frombuffer(content, dtype=">u2").reshape(image.height, image.width, 3)
    return pixels.astype(np.uint16)
