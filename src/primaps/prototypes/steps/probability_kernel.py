"""Sum of the class probabilities of all pixels of an image, as compiled loops on the CPU."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import (
    add,
    add_scaled,
    fill,
    item,
    larger,
    largest,
    load,
    power_of_two,
    store,
    total,
)
from primaps.prototypes.steps.interpolation_kernel import interpolate_columns, interpolate_row
from primaps.prototypes.steps.layout_kernel import (
    LANES,
    PIXELS_AT_ONCE,
    Floats,
    Integers,
    Lanes,
    Taps,
    Tokens,
)
from primaps.prototypes.steps.run_kernel import (
    RUN,
    STEEP,
    add_run,
    range_between,
    runs_of,
    start_powers,
)

_SHORT: Final = 5
"""Mean length of runs up to which it pays to look at single pixels."""


def probability_sum(
    token_logits: Tensor, size: tuple[int, int], stride: int = 1
) -> tuple[Tensor, int]:
    """Sum of the class probabilities of all pixels.

    Args:
        token_logits: (K, h, w) float32 on the CPU.
        size: (H, W) of the image in pixels.
        stride: Pixel stride of the grid that counts.

    Returns:
        (K,) float64, and the number of pixels.
    """
    tokens = Tokens(token_logits, size, stride)
    sums = np.zeros(tokens.layout[1], np.float64)
    runs = runs_of(token_logits.shape[2], size[1], stride)
    _sum_probabilities(
        sums, tokens.values, tokens.layout, tokens.vertical, tokens.horizontal, runs, LANES
    )
    return torch.from_numpy(sums[: len(token_logits)]), len(tokens.vertical[0]) * len(
        tokens.horizontal[0]
    )


@compiled
def _sum_probabilities(
    sums: NDArray[np.float64],
    tokens: Floats,
    layout: tuple[int, int],
    vertical: Taps,
    horizontal: Taps,
    runs: Taps,
    lanes: Lanes,
) -> None:
    """Add the class probabilities of every pixel to ``sums``."""
    (top, bottom, down), (left, right, across), (columns, width), (starts, counts, steps) = (
        vertical,
        horizontal,
        layout,
        runs,
    )
    row, row_sums, memory = (
        np.empty(columns * width, np.float32),
        np.empty(width, np.float32),
        np.empty(2 * width, np.float32),
    )
    values, chosen = (
        np.zeros(PIXELS_AT_ONCE * width, np.float32),
        np.empty(PIXELS_AT_ONCE, np.int64),
    )
    highest, mass = np.empty(PIXELS_AT_ONCE, np.float32), np.empty(PIXELS_AT_ONCE, np.float32)
    together = _SHORT * len(starts) < len(left)
    for y in range(len(top)):
        interpolate_row(row, tokens, top[y] * row.size, bottom[y] * row.size, down[y], lanes)
        row_sums[:], single = 0, 0
        for run in range(len(starts)):
            x, count = item(starts, run), item(counts, run)
            start, end = item(left, x) * width, item(right, x) * width
            shift, change = (
                range_between(row, start, end, width, lanes)
                if together
                else (np.float32(0.0), STEEP)
            )
            if together and change < STEEP:
                start_powers(
                    memory, row, start, end, item(across, x), item(steps, run), shift, width, lanes
                )
                add_run(row_sums, memory, mass, count, width, lanes)
                continue
            for pixel in range(x, x + count):
                chosen[single] = pixel
                single += 1
            if single > PIXELS_AT_ONCE - RUN:
                _add_pixels(
                    row_sums, values, row, chosen, single, horizontal, highest, mass, width, lanes
                )
                single = 0
        _add_pixels(row_sums, values, row, chosen, single, horizontal, highest, mass, width, lanes)
        for label in range(width):
            sums[label] += row_sums[label]


@inlined
def _add_pixels(
    sums: Floats,
    values: Floats,
    row: Floats,
    chosen: Integers,
    count: int,
    horizontal: Taps,
    highest: Floats,
    mass: Floats,
    width: int,
    lanes: Lanes,
) -> None:
    """Add the probabilities of pixels anywhere in a row."""
    interpolate_columns(values, row, chosen, count, horizontal, width, lanes)
    exponentiate(values, highest, mass, count, width, lanes)
    _add_normalised(sums, values, mass, count, width, lanes)


@inlined
def _add_normalised(
    sums: Floats, values: Floats, mass: Floats, count: int, width: int, lanes: Lanes
) -> None:
    """Add ``values / mass`` of some pixels; four sums at a time, which need not wait for each
    other.
    """
    for pixel in range(count):
        mass[pixel] = np.float32(1.0) / mass[pixel]
    for pixel in range(count, len(mass)):
        mass[pixel] = 0  # whatever stands behind the last pixel
    for label in range(0, width, len(lanes)):
        a, b = load(sums, label, lanes), fill(np.float32(0.0), lanes)
        c, d = b, b
        for pixel in range(0, count, 4):
            place = pixel * width + label
            a = add_scaled(a, load(values, place, lanes), item(mass, pixel))
            b = add_scaled(b, load(values, place + width, lanes), item(mass, pixel + 1))
            c = add_scaled(c, load(values, place + 2 * width, lanes), item(mass, pixel + 2))
            d = add_scaled(d, load(values, place + 3 * width, lanes), item(mass, pixel + 3))
        store(sums, label, add(add(a, b), add(c, d)))


@inlined
def exponentiate(
    values: Floats, highest: Floats, mass: Floats, count: int, width: int, lanes: Lanes
) -> None:
    """Replace the logits of some pixels by 2^(logit - highest) and sum these up, step by step for
    all of the pixels.
    """
    for pixel in range(count):
        maxima = load(values, pixel * width, lanes)
        for label in range(len(lanes), width, len(lanes)):
            maxima = larger(maxima, load(values, pixel * width + label, lanes))
        highest[pixel] = largest(maxima)
    for pixel in range(count):
        sums, shift = fill(np.float32(0.0), lanes), fill(-item(highest, pixel), lanes)
        for label in range(0, width, len(lanes)):
            numbers = power_of_two(add(load(values, pixel * width + label, lanes), shift))
            store(values, pixel * width + label, numbers)
            sums = add(sums, numbers)
        mass[pixel] = total(sums)
