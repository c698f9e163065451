"""Class probabilities of a run of pixels between the same two tokens.

There logits are linear in the column, so that their exponentials are geometric: two per class give
those of all pixels of the run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from primaps.compute.compiling.functions import inlined
from primaps.compute.compiling.vectors import (
    add,
    add_product,
    add_scaled,
    fill,
    item,
    larger,
    largest,
    load,
    power_of_two,
    product,
    scaled,
    store,
    total,
)
from primaps.prototypes.steps.interpolation_kernel import between
from primaps.prototypes.steps.layout_kernel import Floats, Lanes, Taps, taps

RUN: Final = 8
"""Pixels between two tokens whose probabilities are computed together."""

STEEP: Final = np.float32(50.0)
"""Change of a logit (to base 2) from one token to the next below which a run is computed together:
then no pixel has less than 2^-50 of the largest value of the run, and what is lost in the smallest
ones is below rounding.
"""

_EVEN: Final = 1e-4
"""Difference of two steps that counts as none: twenty times the rounding of the shares of a large
image.
"""


@lru_cache(maxsize=64)
def runs_of(tokens: int, pixels: int, stride: int) -> Taps:
    """Runs of at most `RUN` pixels of an axis whose shares in the same two tokens grow evenly:
    first pixel, number, step.
    """
    lower, upper, weight = (values.tolist() for values in taps(tokens, pixels, stride))
    starts, counts, steps = [0], [1], [0.0]
    for pixel in range(1, len(weight)):
        first, step = starts[-1], weight[pixel] - weight[pixel - 1]
        is_even = counts[-1] == 1 or abs(step - (weight[first + 1] - weight[first])) < _EVEN
        if (
            counts[-1] < RUN
            and is_even
            and (lower[pixel], upper[pixel]) == (lower[first], upper[first])
        ):
            counts[-1] += 1
            steps[-1] = (weight[pixel] - weight[first]) / (pixel - first)
        else:
            starts, counts, steps = [*starts, pixel], [*counts, 1], [*steps, 0.0]
    return np.array(starts), np.array(counts), np.array(steps, np.float32)


@inlined
def range_between(
    row: Floats, start: int, end: int, width: int, lanes: Lanes
) -> tuple[np.float32, np.float32]:
    """Largest logit of the tokens of a row at ``start`` and ``end``, and by how much the logit of a
    class differs between them at most.
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
def start_powers(
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
        logit = between(row, start + label, end + label, weight, lanes)
        store(memory, label, power_of_two(add(logit, bias)))
        store(memory, width + label, power_of_two(scaled(change, step)))


@inlined
def add_run(
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
    for pixel in range(RUN):
        mass[pixel] = np.float32(1.0) / mass[pixel] if pixel < count else np.float32(0.0)
    for label in range(0, width, len(lanes)):
        ratio, result = load(memory, width + label, lanes), fill(item(mass, RUN - 1), lanes)
        for pixel in range(RUN - 1):
            result = add_product(fill(item(mass, RUN - 2 - pixel), lanes), result, ratio)
        store(
            sums, label, add_product(load(sums, label, lanes), load(memory, label, lanes), result)
        )
