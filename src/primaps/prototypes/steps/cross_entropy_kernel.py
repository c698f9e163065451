"""What a step of EM does with every pixel of one image, as compiled loops on the CPU: ballots,
probabilities, loss, gradient.

Logits are known at token resolution. The loops go through the image row by row: tokens are
interpolated between two rows of tokens, then between columns, so that the logits of a few pixels
only are held at a time. Between two tokens of a row logits are linear, so that their exponentials
are geometric: two per class give the probabilities of a run of pixels. The classes of a token or
pixel stand next to each other, filled up to whole vectors. The plain functions of
`primaps.prototypes.em` say the same in torch.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import (
    add,
    add_product,
    add_scaled,
    fill,
    item,
    lane_of,
    larger,
    largest,
    load,
    power_of_two,
    product,
    scaled,
    store,
    total,
)
from primaps.prototypes.steps.pixels import bilinear_taps, pixel_grid
from primaps.types import IGNORE_INDEX

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Lanes = tuple[int, ...]
Taps = tuple[Integers, Integers, Floats]
Ids = NDArray[np.uint8] | NDArray[np.int32] | Integers

_LANES: Final[Lanes] = (0,) * 8

_PADDING: Final = np.float32(-1e30)
"""Logit of the classes that fill up a vector: the exponential is 0, and finite multiples of it stay
finite.
"""

_PIXELS_AT_ONCE: Final = 64
_IGNORE: Final = IGNORE_INDEX

_RUN: Final = 8
"""Pixels between two tokens whose probabilities are computed together."""

_EVEN: Final = 1e-4
"""Difference of two steps that counts as none: twenty times the rounding of the shares of a large
image.
"""

_SHORT: Final = 5
"""Mean length of runs up to which it pays to look at single pixels."""

_STEEP: Final = np.float32(50.0)
"""Change of a logit (to base 2) from one token to the next below which a run is computed together:
then no pixel has less than 2^-50 of the largest value of the run, and what is lost in the smallest
ones is below rounding.
"""


def ballots(token_logits: Tensor, proposals: Tensor, stride: int = 1) -> Tensor:
    """How many pixels of each proposal have which class as their best one.

    Args:
        token_logits: (K, h, w) float32 on the CPU.
        proposals: (H, W) integer proposal ids 0..M.
        stride: Pixel stride of the grid that votes.

    Returns:
        (M + 1, K) int64; the smallest class id wins ties of logits.
    """
    tokens = _Tokens(token_logits, _size(proposals), stride)
    ids = _ids(
        proposals[pixel_grid(proposals.shape[0], stride), pixel_grid(proposals.shape[1], stride)]
    )
    counts = np.zeros((int(proposals.max()) + 1, len(token_logits)), np.int64)
    _count_ballots(
        counts,
        tokens.values,
        tokens.layout,
        ids,
        tokens.vertical,
        tokens.horizontal,
        _LANES,
        (0,) * ids.itemsize,
    )
    return torch.from_numpy(counts)


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
    tokens = _Tokens(token_logits, size, stride)
    sums = np.zeros(tokens.layout[1], np.float64)
    runs = _runs(token_logits.shape[2], size[1], stride)
    _sum_probabilities(
        sums, tokens.values, tokens.layout, tokens.vertical, tokens.horizontal, runs, _LANES
    )
    return torch.from_numpy(sums[: len(token_logits)]), len(tokens.vertical[0]) * len(
        tokens.horizontal[0]
    )


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
    tokens = _Tokens(token_logits, _size(proposals), 1)
    gradient, ids = np.zeros_like(tokens.values), _ids(proposals)
    arrays = (gradient, tokens.values, tokens.layout, ids, votes.numpy(), weights.numpy())
    if pixels is None:
        loss = _all_pixels(*arrays, tokens.vertical, tokens.horizontal, _LANES, (0,) * ids.itemsize)
    else:
        loss = _some_pixels(
            *arrays, pixels.numpy(), tokens.vertical, tokens.horizontal, _LANES, (0,) * ids.itemsize
        )
    result = torch.empty(token_logits.shape)
    _unpack(result.view(len(result), -1).numpy(), gradient, tokens.layout[1])
    return loss, result


class _Tokens:
    """Logits of the tokens with their classes next to each other, and where pixels lie between
    tokens.
    """

    def __init__(self, token_logits: Tensor, size: tuple[int, int], stride: int) -> None:
        classes, height, width = token_logits.shape
        self.layout = width, -(-classes // len(_LANES)) * len(_LANES)
        self.values = np.empty(height * math.prod(self.layout), np.float32)
        _pack(self.values, token_logits.contiguous().view(classes, -1).numpy(), self.layout[1])
        self.vertical, self.horizontal = (
            _taps(height, size[0], stride),
            _taps(width, size[1], stride),
        )


@lru_cache(maxsize=64)
def _taps(tokens: int, pixels: int, stride: int) -> Taps:
    """Where the pixels of the grid lie between tokens, along one axis."""
    grid = pixel_grid(pixels, stride)
    lower, upper, weight = (
        values[grid].contiguous().numpy() for values in bilinear_taps(tokens, pixels)
    )
    return lower, upper, weight


@lru_cache(maxsize=64)
def _runs(tokens: int, pixels: int, stride: int) -> Taps:
    """Runs of at most `_RUN` pixels of an axis whose shares in the same two tokens grow evenly:
    first pixel, number, step.
    """
    lower, upper, weight = (values.tolist() for values in _taps(tokens, pixels, stride))
    starts, counts, steps = [0], [1], [0.0]
    for pixel in range(1, len(weight)):
        first, step = starts[-1], weight[pixel] - weight[pixel - 1]
        is_even = counts[-1] == 1 or abs(step - (weight[first + 1] - weight[first])) < _EVEN
        if (
            counts[-1] < _RUN
            and is_even
            and (lower[pixel], upper[pixel]) == (lower[first], upper[first])
        ):
            counts[-1] += 1
            steps[-1] = (weight[pixel] - weight[first]) / (pixel - first)
        else:
            starts, counts, steps = [*starts, pixel], [*counts, 1], [*steps, 0.0]
    return np.array(starts), np.array(counts), np.array(steps, np.float32)


def _ids(proposals: Tensor) -> Ids:
    """Proposal ids as an array; for each number of bytes of an id loops are compiled that know it
    (argument ``kind``).
    """
    kept = (
        proposals
        if proposals.dtype in {torch.uint8, torch.int32, torch.int64}
        else proposals.long()
    )
    ids: Ids = kept.contiguous().numpy()
    return ids


def _size(proposals: Tensor) -> tuple[int, int]:
    height, width = proposals.shape
    return height, width


@compiled
def _pack(values: Floats, token_logits: Floats, width: int) -> None:
    """From (classes, tokens) to one row of classes per token, filled up, with logarithms to base
    2.
    """
    (classes, tokens), factor = token_logits.shape, np.float32(1 / math.log(2))
    for first in range(0, tokens, _PIXELS_AT_ONCE):
        last = min(tokens, first + _PIXELS_AT_ONCE)
        for label in range(classes):
            for token in range(first, last):
                values[token * width + label] = token_logits[label, token] * factor
        for label in range(classes, width):
            for token in range(first, last):
                values[token * width + label] = _PADDING


@compiled
def _unpack(token_logits: Floats, values: Floats, width: int) -> None:
    """From one row of classes per token to (classes, tokens)."""
    classes, tokens = token_logits.shape
    for first in range(0, tokens, _PIXELS_AT_ONCE):
        for label in range(classes):
            for token in range(first, min(tokens, first + _PIXELS_AT_ONCE)):
                token_logits[label, token] = values[token * width + label]


@compiled
def _count_ballots(
    counts: Integers,
    tokens: Floats,
    layout: tuple[int, int],
    ids: Ids,
    vertical: Taps,
    horizontal: Taps,
    lanes: Lanes,
    kind: Lanes,  # noqa: ARG001
) -> None:
    """Add one to ``counts[id, best class]`` for every pixel."""
    (top, bottom, down), (left, right, across), (columns, width) = vertical, horizontal, layout
    row, winners = np.empty(columns * width, np.float32), np.empty(tokens.size // width, np.int64)
    for token in range(winners.size):
        winners[token] = _best_class(
            tokens, token * width, token * width, np.float32(0.0), width, lanes
        )
    for y in range(len(top)):
        above, below = top[y] * columns, bottom[y] * columns
        _interpolate_row(row, tokens, above * width, below * width, down[y], lanes)
        for x in range(len(left)):
            start, end = item(left, x), item(right, x)
            winner = item(winners, above + start)
            # The best class of all four tokens is that of every pixel between them.
            if (
                winner != item(winners, above + end)
                or winner != item(winners, below + start)
                or winner != item(winners, below + end)
            ):
                winner = _best_class(row, start * width, end * width, item(across, x), width, lanes)
            if not 0 <= ids[y, x] < len(counts):
                raise ValueError("a proposal id is negative")
            counts[ids[y, x], winner] += 1


@inlined
def _best_class(
    values: Floats, start: int, end: int, weight: np.float32, width: int, lanes: Lanes
) -> int:
    """Class with the largest interpolated logit, the first one on ties."""
    best, winner = np.float32(-np.inf), 0
    for label in range(0, width, len(lanes)):
        numbers = _between(values, start + label, end + label, weight, lanes)
        highest = largest(numbers)
        if highest > best:
            best, winner = highest, label + lane_of(numbers, highest)
    return winner


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
        np.zeros(_PIXELS_AT_ONCE * width, np.float32),
        np.empty(_PIXELS_AT_ONCE, np.int64),
    )
    highest, mass = np.empty(_PIXELS_AT_ONCE, np.float32), np.empty(_PIXELS_AT_ONCE, np.float32)
    together = _SHORT * len(starts) < len(left)
    for y in range(len(top)):
        _interpolate_row(row, tokens, top[y] * row.size, bottom[y] * row.size, down[y], lanes)
        row_sums[:], single = 0, 0
        for run in range(len(starts)):
            x, count = item(starts, run), item(counts, run)
            start, end = item(left, x) * width, item(right, x) * width
            shift, change = (
                _range_between(row, start, end, width, lanes)
                if together
                else (np.float32(0.0), _STEEP)
            )
            if together and change < _STEEP:
                _start_powers(
                    memory, row, start, end, item(across, x), item(steps, run), shift, width, lanes
                )
                _add_run(row_sums, memory, mass, count, width, lanes)
                continue
            for pixel in range(x, x + count):
                chosen[single] = pixel
                single += 1
            if single > _PIXELS_AT_ONCE - _RUN:
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
    _interpolate_columns(values, row, chosen, count, horizontal, width, lanes)
    _exponentiate(values, highest, mass, count, width, lanes)
    _add_normalised(sums, values, mass, count, width, lanes)


@inlined
def _range_between(
    row: Floats, start: int, end: int, width: int, lanes: Lanes
) -> tuple[np.float32, np.float32]:
    """Largest logit of two tokens, and by how much the logit of a class differs between them at
    most.
    """
    maxima = larger(load(row, start, lanes), load(row, end, lanes))
    changes = fill(np.float32(0.0), lanes)
    for label in range(0, width, len(lanes)):
        one, other = load(row, start + label, lanes), load(row, end + label, lanes)
        maxima = larger(maxima, larger(one, other))
        change = add_scaled(one, other, np.float32(-1.0))
        changes = larger(changes, larger(change, scaled(change, np.float32(-1.0))))
    return largest(maxima), largest(changes)


@inlined
def _start_powers(
    memory: Floats,
    row: Floats,
    start: int,
    end: int,
    weight: np.float32,
    step: np.float32,
    shift: np.float32,
    width: int,
    lanes: Lanes,
) -> None:
    """2^(logit - shift) of the first pixel of a run, and behind it by what this grows from pixel to
    pixel.
    """
    bias = fill(-shift, lanes)
    for label in range(0, width, len(lanes)):
        change = add_scaled(
            load(row, end + label, lanes), load(row, start + label, lanes), np.float32(-1.0)
        )
        logit = _between(row, start + label, end + label, weight, lanes)
        store(memory, label, power_of_two(add(logit, bias)))
        store(memory, width + label, power_of_two(scaled(change, step)))


@inlined
def _add_run(
    sums: Floats, memory: Floats, mass: Floats, count: int, width: int, lanes: Lanes
) -> None:
    """Add the probabilities of a run of pixels: logits are linear in the column, so their
    exponentials are geometric.

    Sum_k value * ratio^k / mass_k by Horner's rule.
    """
    zero = fill(np.float32(0.0), lanes)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for label in range(0, width, len(lanes)):
        value, ratio = load(memory, label, lanes), load(memory, width + label, lanes)
        a, value = add(a, value), product(value, ratio)
        b, value = add(b, value), product(value, ratio)
        c, value = add(c, value), product(value, ratio)
        d, value = add(d, value), product(value, ratio)
        e, value = add(e, value), product(value, ratio)
        f, value = add(f, value), product(value, ratio)
        g, value = add(g, value), product(value, ratio)
        h = add(h, value)
    mass[0], mass[1], mass[2], mass[3] = total(a), total(b), total(c), total(d)
    mass[4], mass[5], mass[6], mass[7] = total(e), total(f), total(g), total(h)
    for pixel in range(_RUN):
        mass[pixel] = np.float32(1.0) / mass[pixel] if pixel < count else np.float32(0.0)
    for label in range(0, width, len(lanes)):
        ratio, result = load(memory, width + label, lanes), fill(item(mass, _RUN - 1), lanes)
        for pixel in range(_RUN - 1):
            result = add_product(fill(item(mass, _RUN - 2 - pixel), lanes), result, ratio)
        store(
            sums, label, add_product(load(sums, label, lanes), load(memory, label, lanes), result)
        )


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
    row_gradient, values = np.empty_like(row), np.empty(_PIXELS_AT_ONCE * width, np.float32)
    highest, mass = np.empty(_PIXELS_AT_ONCE, np.float32), np.empty(_PIXELS_AT_ONCE, np.float32)
    chosen, labels = np.empty(_PIXELS_AT_ONCE, np.int64), np.empty(_PIXELS_AT_ONCE, np.int64)
    factors, loss = np.empty(_PIXELS_AT_ONCE, np.float32), 0.0
    for y in range(len(top)):
        _interpolate_row(row, tokens, top[y] * row.size, bottom[y] * row.size, down[y], lanes)
        row_gradient[:] = 0
        for first in range(0, len(left), _PIXELS_AT_ONCE):
            count = 0
            for x in range(first, min(first + _PIXELS_AT_ONCE, len(left))):
                label = _vote_of(ids[y, x], votes)
                if label != _IGNORE:
                    chosen[count], labels[count], factors[count] = x, label, weights[ids[y, x]]
                    count += 1
            _interpolate_columns(values, row, chosen, count, horizontal, width, lanes)
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
    values = np.empty(_PIXELS_AT_ONCE * width, np.float32)
    highest, mass = np.empty(_PIXELS_AT_ONCE, np.float32), np.empty(_PIXELS_AT_ONCE, np.float32)
    places, shares = (
        np.empty((_PIXELS_AT_ONCE, 4), np.int64),
        np.empty((_PIXELS_AT_ONCE, 4), np.float32),
    )
    labels, factors = np.empty(_PIXELS_AT_ONCE, np.int64), np.empty(_PIXELS_AT_ONCE, np.float32)
    for first in range(0, len(pixels), _PIXELS_AT_ONCE):
        count = 0
        for index in range(first, min(first + _PIXELS_AT_ONCE, len(pixels))):
            y, x = divmod(pixels[index], len(horizontal[0]))
            label = _vote_of(ids[y, x], votes)
            if label != _IGNORE:
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
def _between(values: Floats, start: int, end: int, weight: np.float32, lanes: Lanes) -> Any:
    """Interpolated vector, ``weight`` of it from ``end``."""
    return add_scaled(
        scaled(load(values, start, lanes), np.float32(1.0) - weight),
        load(values, end, lanes),
        weight,
    )


@inlined
def _interpolate_row(
    row: Floats, tokens: Floats, start: int, end: int, weight: np.float32, lanes: Lanes
) -> None:
    """All tokens of a row of pixels."""
    for place in range(0, row.size, len(lanes)):
        store(row, place, _between(tokens, start + place, end + place, weight, lanes))


@inlined
def _interpolate_columns(
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
                _between(row, start + label, end + label, weight, lanes),
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
def _exponentiate(
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
    _exponentiate(values, highest, mass, count, width, lanes)
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
