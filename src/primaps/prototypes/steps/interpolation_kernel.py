"""Logits of single pixels from those of the tokens around them, inlined by the loops.

The loops go through an image row by row: tokens are interpolated between two rows of tokens, then
between columns, so that the logits of a few pixels only are held at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from primaps.compute.compiling.functions import inlined
from primaps.compute.compiling.vectors import add_scaled, item, load, scaled, store
from primaps.prototypes.steps.layout_kernel import Floats, Integers, Lanes, Taps


@inlined
def between(values: Floats, start: int, end: int, weight: np.float32, lanes: Lanes) -> Any:
    """Interpolated vector, ``weight`` of it from ``end``."""
    return add_scaled(
        scaled(load(values, start, lanes), np.float32(1.0) - weight),
        load(values, end, lanes),
        weight,
    )


@inlined
def interpolate_row(
    row: Floats, tokens: Floats, start: int, end: int, weight: np.float32, lanes: Lanes
) -> None:
    """Logits of a row of pixels at the columns of the tokens, ``weight`` of them from the row of
    tokens at ``end``.
    """
    for place in range(0, row.size, len(lanes)):
        store(row, place, between(tokens, start + place, end + place, weight, lanes))


@inlined
def interpolate_columns(
    values: Floats,
    row: Floats,
    chosen: Integers,
    count: int,
    horizontal: Taps,
    width: int,
    lanes: Lanes,
) -> None:
    """Logits of the first ``count`` of the ``chosen`` columns of a row."""
    left, right, across = horizontal
    for pixel in range(count):
        x = item(chosen, pixel)
        start, end, weight = item(left, x) * width, item(right, x) * width, item(across, x)
        for label in range(0, width, len(lanes)):
            store(
                values,
                pixel * width + label,
                between(row, start + label, end + label, weight, lanes),
            )
