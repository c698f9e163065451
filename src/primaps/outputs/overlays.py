"""Photographs with their classes painted over them, as JPEG files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from primaps.runs.store import atomic_write
from primaps.types import Image

_QUALITY: Final = 88


def write_overlay(path: Path, picture: Image, stamp: str) -> None:
    """Write a picture; equal input gives equal bytes.

    Args:
        path: Where to write; parent folders are made, an existing file is replaced in one step.
        picture: (H, W, 3) uint8 RGB.
        stamp: ASCII; what it was made from, read back by `overlay_stamp`.

    Raises:
        OutputError: If the file cannot be written.
    """
    buffer = io.BytesIO()
    PILImage.fromarray(np.ascontiguousarray(picture)).save(
        buffer, format="JPEG", quality=_QUALITY, subsampling=0, comment=stamp.encode("ascii")
    )
    atomic_write(path, buffer.getvalue())


def overlay_stamp(path: Path) -> str | None:
    """What a picture was made from; None if there is none that says so."""
    try:
        with PILImage.open(path) as picture:
            comment = picture.info.get("comment")
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None
    return comment.decode("ascii", "replace") if isinstance(comment, bytes) else None
