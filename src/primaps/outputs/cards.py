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

_PALE: Final = (150, 90)  # tone of black around the proposal, and how much lighter white is
_STRIPE: Final = 55  # how much darker a stripe is
_STRIPES: Final = 9  # distance of two stripes in their widths


def card(image: Image, mask: NDArray[np.bool_], side: int = SIDE) -> Image:
    """What a person needs to see to name a proposal: the proposal in its surroundings, these
    pale and hatched, and a line around it.

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
    width = max(1, round(max(inside.shape) / side * 1.5))
    drawn = np.where(inside[..., None], crop, _crossed_out(crop, _STRIPES * width))
    light = grown(inside, width)
    drawn[grown(light, width) & ~light] = (0, 0, 0)
    drawn[light & ~inside] = (255, 255, 255)
    return thumbnail(drawn, side)


def _crossed_out(crop: Image, period: int) -> NDArray[np.uint8]:
    """(h, w, 1): the surroundings, pale and hatched. Pale alone is not enough: where photograph and
    proposal are grey themselves, nobody would know which side of the line is meant.
    """
    pale = crop.astype(np.uint16).sum(axis=2) * _PALE[1] // (3 * 255) + _PALE[0]
    rows, columns = np.indices(pale.shape, sparse=True)
    stripes = (rows + columns) % period < period // _STRIPES
    drawn: NDArray[np.uint8] = np.where(stripes, pale - _STRIPE, pale).astype(np.uint8)[..., None]
    return drawn


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
