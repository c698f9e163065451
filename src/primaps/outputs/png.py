"""Figures as PNG files and as pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PILImage

from primaps.types import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as the bytes of a PNG file, the same ones for the same figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def png_picture(data: bytes) -> Image:
    """The (H, W, 3) uint8 RGB picture in a PNG file."""
    with PILImage.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))
