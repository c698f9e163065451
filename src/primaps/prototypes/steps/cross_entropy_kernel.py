"""Cross-entropy of the pixels of an image to the pseudo labels and its gradient, as compiled loops
on the CPU.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import add_scaled, fill, item, load, scaled, store
from primaps.prototypes.pixels import size_of
from primaps.prototypes.steps.interpolation_kernel import interpolate_columns, interpolate_row
from primaps.prototypes.steps.layout_kernel import (
    LANES,
    PIXELS_AT_ONCE,
    Floats,
    Ids,
    Integers,
    Lanes,
    Taps,
    Tokens,
    ids_array,
    unpack,
)
from primaps.prototypes.steps.probability_kernel import exponentiate
from primaps.types import IGNORE_INDEX


def cross_entropy(
    token_logits: Tensor,
    proposals: Tensor,
    votes: Tensor,
    weights: Tensor,
    pixels: Tensor | None = None,
) -> tuple[float, Tensor]:
    """Weighted cross-entropy to the pseudo labels, summed over pixels, and its gradient.

    Args:
        token_logits: (K, h, w) float32 on the CPU.
        proposals: (H, W) integer proposal ids 0..M.
        votes: (M + 1,) int64 class of each proposal; IGNORE_INDEX = its pixels do not count.
        weights: (M + 1,) float32 weight of a pixel of each proposal.
        pixels: (P,) int64 flat pixel indices (row times W plus column), repetitions included; None
            = all pixels.

    Returns:
        The sum, and its gradient with respect to the token logits, (K, h, w) float32.
    """
    tokens = Tokens(token_logits, size_of(proposals), 1)
    gradient, ids = np.zeros_like(tokens.values), ids_array(proposals)
    arrays = (gradient, tokens.values, tokens.layout, ids, votes.numpy(), weights.numpy())
    if pixels is None:
        loss = _all_pixels(*arrays, tokens.vertical, tokens.horizontal, LANES, (0,) * ids.itemsize)
    else:
        loss = _some_pixels(
            *arrays, pixels.numpy(), tokens.vertical, tokens.horizontal, LANES, (0,) * ids.itemsize
        )
    result = torch.empty(token_logits.shape)
    unpack(result.view(len(result), -1).numpy(), gradient, tokens.layout[1])
    return loss, result


@compiled
def _all_pixels(
    gradient: Floats,
    tokens: Floats,
    layout: tuple[int, int],
    ids: Ids,
    votes: Integers,
    weights: Floats,
    vertical: Taps,
    horizontal: Taps,
    lanes: Lanes,
    kind: Lanes,  # noqa: ARG001
) -> float:
    """Loss of all pixels; its gradient is added to ``gradient``."""
    (top, bottom, down), (left, right, across), (columns, width) = vertical, horizontal, layout
    row = np.empty(columns * width, np.float32)
    row_gradient, values = np.empty_like(row), np.empty(PIXELS_AT_ONCE * width, np.float32)
    highest, mass = np.empty(PIXELS_AT_ONCE, np.float32), np.empty(PIXELS_AT_ONCE, np.float32)
    chosen, labels = np.empty(PIXELS_AT_ONCE, np.int64), np.empty(PIXELS_AT_ONCE, np.int64)
    factors, loss = np.empty(PIXELS_AT_ONCE, np.float32), 0.0
    for y in range(len(top)):
        interpolate_row(row, tokens, top[y] * row.size, bottom[y] * row.size, down[y], lanes)
        row_gradient[:] = 0
        for first in range(0, len(left), PIXELS_AT_ONCE):
            count = 0
            for x in range(first, min(first + PIXELS_AT_ONCE, len(left))):
                label = _vote_of(ids[y, x], votes)
                if label != IGNORE_INDEX:
                    chosen[count], labels[count], factors[count] = x, label, weights[ids[y, x]]
                    count += 1
            interpolate_columns(values, row, chosen, count, horizontal, width, lanes)
            loss += _differentiate(values, highest, mass, labels, factors, count, width, lanes)
            for pixel in range(count):
                x = item(chosen, pixel)
                weight, place = item(across, x), pixel * width
                _add_multiple(
                    row_gradient, item(left, x) * width, values, place, 1 - weight, width, lanes
                )
                _add_multiple(
                    row_gradient, item(right, x) * width, values, place, weight, width, lanes
                )
        _add_multiple(gradient, top[y] * row.size, row_gradient, 0, 1 - down[y], row.size, lanes)
        _add_multiple(gradient, bottom[y] * row.size, row_gradient, 0, down[y], row.size, lanes)
    return float(loss)


@compiled
def _some_pixels(
    gradient: Floats,
    tokens: Floats,
    layout: tuple[int, int],
    ids: Ids,
    votes: Integers,
    weights: Floats,
    pixels: Integers,
    vertical: Taps,
    horizontal: Taps,
    lanes: Lanes,
    kind: Lanes,  # noqa: ARG001
) -> float:
    """Loss of the given pixels; its gradient is added to ``gradient``."""
    (columns, width), loss = layout, 0.0
    values = np.empty(PIXELS_AT_ONCE * width, np.float32)
    highest, mass = np.empty(PIXELS_AT_ONCE, np.float32), np.empty(PIXELS_AT_ONCE, np.float32)
    places, shares = (
        np.empty((PIXELS_AT_ONCE, 4), np.int64),
        np.empty((PIXELS_AT_ONCE, 4), np.float32),
    )
    labels, factors = np.empty(PIXELS_AT_ONCE, np.int64), np.empty(PIXELS_AT_ONCE, np.float32)
    for first in range(0, len(pixels), PIXELS_AT_ONCE):
        count = 0
        for index in range(first, min(first + PIXELS_AT_ONCE, len(pixels))):
            y, x = divmod(pixels[index], len(horizontal[0]))
            label = _vote_of(ids[y, x], votes)
            if label != IGNORE_INDEX:
                _find_corners(places[count], shares[count], y, x, columns, vertical, horizontal)
                labels[count], factors[count] = label, weights[ids[y, x]]
                count += 1
        for pixel in range(count):
            for label in range(0, width, len(lanes)):
                sum_ = fill(np.float32(0.0), lanes)
                for corner in range(4):
                    sum_ = add_scaled(
                        sum_,
                        load(tokens, places[pixel, corner] * width + label, lanes),
                        shares[pixel, corner],
                    )
                store(values, pixel * width + label, sum_)
        loss += _differentiate(values, highest, mass, labels, factors, count, width, lanes)
        for pixel in range(count):
            for corner in range(4):
                start = places[pixel, corner] * width
                _add_multiple(
                    gradient, start, values, pixel * width, shares[pixel, corner], width, lanes
                )
    return float(loss)


@inlined
def _vote_of(number: int, votes: Integers) -> int:
    if not 0 <= number < len(votes):
        raise ValueError("a proposal has no vote")
    return votes[number]  # type: ignore[no-any-return]


@inlined
def _find_corners(
    places: Integers, shares: Floats, y: int, x: int, columns: int, vertical: Taps, horizontal: Taps
) -> None:
    """The four tokens around a pixel and their shares in it."""
    (top, bottom, down), (left, right, across) = vertical, horizontal
    for corner in range(4):
        is_lower, is_right = corner // 2, corner % 2
        places[corner] = (bottom[y] if is_lower else top[y]) * columns + (
            right[x] if is_right else left[x]
        )
        shares[corner] = (down[y] if is_lower else 1 - down[y]) * (
            across[x] if is_right else 1 - across[x]
        )


@inlined
def _add_multiple(
    target: Floats,
    start: int,
    values: Floats,
    place: int,
    factor: np.float32,
    count: int,
    lanes: Lanes,
) -> None:
    """Add ``factor`` times ``count`` values from ``place`` on to those of the target from ``start``
    on.
    """
    for index in range(0, count, len(lanes)):
        summand = load(values, place + index, lanes)
        store(
            target, start + index, add_scaled(load(target, start + index, lanes), summand, factor)
        )


@inlined
def _differentiate(
    values: Floats,
    highest: Floats,
    mass: Floats,
    labels: Integers,
    factors: Floats,
    count: int,
    width: int,
    lanes: Lanes,
) -> float:
    """Loss of some pixels, each with a factor, from their logits, which are replaced by its
    derivatives with respect to them.
    """
    loss, label, product = 0.0, np.int64(0), 1.0
    factor: Any = np.float32(0.0)
    for pixel in range(count):
        loss -= factors[pixel] * values[pixel * width + labels[pixel]] * math.log(2)
    exponentiate(values, highest, mass, count, width, lanes)
    for pixel in range(count):
        if label != labels[pixel] or factor != factors[pixel]:
            loss += factor * math.log(product)
            label, factor, product = labels[pixel], factors[pixel], 1.0
        product *= mass[pixel]  # one logarithm for many: 64 masses of at most 254 fit
        loss += factor * highest[pixel] * math.log(2)
        values[pixel * width + label] -= mass[pixel]
        mass[pixel] = factor / mass[pixel]
    for pixel in range(count):
        for place in range(pixel * width, (pixel + 1) * width, len(lanes)):
            store(values, place, scaled(load(values, place, lanes), item(mass, pixel)))
    loss += factor * math.log(product)
    return float(loss)
