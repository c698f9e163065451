"""Cards: a crop of a photograph around one proposal, with its outline."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import OutputError
from primaps.outputs.visualize import grown, thumbnail
from primaps.types import Image

SIDE: Final = 400
"""Longest side of a card in pixels."""

_MARGIN: Final = 0.35  # of the longer side of the proposal, on every side
_LEAST: Final = 0.25  # of the shorter side of the photograph that a card shows at least


def card(image: Image, mask: NDArray[np.bool_], side: int = SIDE) -> Image:
    """What a person needs to see to name a proposal: the proposal in its surroundings, these
    washed out, and a line around it.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, the proposal's pixels.
        side: Longest side of the card in pixels.

    Returns:
        (h, w, 3) uint8 RGB.

    Raises:
        OutputError: If no pixel belongs to the proposal, or sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise OutputError(
            f"Expected the proposal at the size of the image, {image.shape[:2]}, but got"
            f" {mask.shape}."
        )
    if not mask.any():
        raise OutputError("Expected a proposal with pixels, but it has none.")
    rows, columns = _window(mask)
    crop, inside = image[rows, columns], mask[rows, columns]
    grey = (crop.astype(np.uint16).sum(axis=2, keepdims=True) // 6 + 100).astype(np.uint8)
    drawn = np.where(inside[..., None], crop, grey)
    width = max(1, round(max(inside.shape) / side * 1.5))
    light = grown(inside, width)
    drawn[grown(light, width) & ~light] = (0, 0, 0)
    drawn[light & ~inside] = (255, 255, 255)
    return thumbnail(drawn, side)


def _window(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of the crop, within the image."""
    edges = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    spans = [(int(each[0]), int(each[-1]) + 1) for each in edges]
    margin = _MARGIN * max(end - start for start, end in spans)
    least = _LEAST * min(mask.shape)
    found = []
    for (start, end), limit in zip(spans, mask.shape, strict=True):
        around = max(margin, (least - (end - start)) / 2)
        found.append(slice(max(0, int(start - around)), min(limit, int(np.ceil(end + around)))))
    return found[0], found[1]
