"""16-bit colour PNGs with all their bits, of which Pillow keeps the upper eight."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

_LOWER: Final = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}
"""What gives the lower bytes of a layout of big-endian numbers: its little-endian twin."""


def is_deep(image: PIL.Image.Image) -> bool:
    """Whether a PNG, not loaded yet, has colours of 16 bits."""
    return isinstance(image, PngImageFile) and _layout(image) in {*_LOWER, "LA;16B"}


def deep_pixels(upper: PIL.Image.Image, lower: PIL.Image.Image) -> NDArray[np.uint16]:
    """Pixels of a PNG for which `is_deep` says yes.

    Args:
        upper: The file, opened and not loaded.
        lower: The same, opened once more.

    Returns:
        (H, W, 2, 3 or 4) uint16: grey and opacity, RGB or RGBA.
    """
    layout = _layout(upper)
    if layout == "LA;16B":  # four bytes of a pixel, as they lie there
        bytes_ = np.asarray(_loaded(upper, "RGBA")).astype(np.uint16)
        return (bytes_[..., ::2] * np.uint16(256) + bytes_[..., 1::2]).astype(np.uint16)
    result = np.asarray(_loaded(upper, layout)).astype(np.uint16)
    result *= 256
    result += np.asarray(_loaded(lower, _LOWER[layout]))
    return result


def _layout(image: Any) -> str:
    return str(image.tile[0].args) if image.tile else ""


def _loaded(image: Any, layout: str) -> PIL.Image.Image:
    image.tile = [tile._replace(args=layout) for tile in image.tile]
    image.load()
    opened: PIL.Image.Image = image
    return opened
