"""The smoothness kernel of the dense CRF as a stencil: splat, blur and slice of its lattice
composed once per image size.

With a standard deviation of one pixel, an edge of the lattice is one pixel long. Splat and slice
move a value by less than one pixel each and the three blurs by at most two together: a pixel sees
no further than 3 rows and columns. A step down by one row maps the lattice onto itself, so that all
rows have the same weights except those near the upper and lower end, where vertices are missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import add_scaled, item, load, store
from primaps.proposals.crf.filter_kernel import Floats, Lanes, aligned, build_filter

_REACH = 3
_SIDE = 2 * _REACH + 1
_TAPS = _SIDE * _SIDE

_BLOCK = 4
"""Rows of the image that are worked on together, so that each value is read once for all of them.
"""

_EDGE = 12
"""Rows at the upper and at the lower end whose weights are kept one by one; missing vertices reach
half as far.
"""


@dataclass(frozen=True)
class Stencil:
    """Normalised and weighted smoothness kernel of images of one size.

    Attributes:
        taps: (R * W * 49,) float32 weights of the neighbours in R different rows of W pixels,
            column by column.
        kinds: (H,) int64 which of the R rows each row of the image is.
        columns: W.
    """

    taps: Floats
    kinds: NDArray[np.int64]
    columns: int

    @property
    def halo(self) -> int:
        """Number of pixels before the first and after the last one that are read with weight 0 and
        must be finite.
        """
        return _REACH * self.columns + _REACH

    def apply(
        self, output: Floats, unary: Floats, values: Floats, start: int, lanes: Lanes
    ) -> None:
        """Write ``unary + filtered values`` to ``output``.

        Args:
            output: (N,) float32 of the same layout as ``values``, another array.
            unary: (N,) float32 of the same layout.
            values: (N,) float32 that holds the rows of labels of the pixels and `halo` more rows on
                both sides.
            start: Where the row of the first pixel begins.
            lanes: Tuple as long as a row.
        """
        _apply(output, unary, values, start, self.taps, self.kinds, self.columns, lanes)


def has_stencil(height: int, sxy: float) -> bool:
    """Whether the smoothness kernel of an image of this height can be applied as a stencil."""
    return sxy == 1.0 and height >= _BLOCK


def build_stencil(height: int, width: int, scale: float) -> Stencil:
    """Stencil of the smoothness kernel with a standard deviation of one pixel.

    Args:
        height: H, at least 4.
        width: W.
        scale: Factor of the output.
    """
    rows = np.arange(height)
    if height <= 2 * _EDGE + 1:
        return Stencil(_compose(height, width, scale), rows, width)
    kinds = rows.clip(max=_EDGE) + (rows - (height - _EDGE) + 1).clip(min=0)
    return Stencil(_compose(2 * _EDGE + 1, width, scale), kinds, width)


def pixel_positions(height: int, width: int) -> Tensor:
    """(H * W, 2) float32 pixel coordinates, x first, row by row."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return torch.from_numpy(np.stack([x.ravel(), y.ravel()], 1))


@lru_cache(maxsize=8)
def _compose(height: int, width: int, scale: float) -> Floats:
    """Weights of all neighbours of all pixels: what the lattice filter answers when every seventh
    pixel is lit.
    """
    kernel, points, lanes = (
        build_filter(pixel_positions(height, width), scale),
        height * width,
        (0,) * 4,
    )
    lattice = aligned(kernel.vertices.count * len(lanes))
    y, x = (axis.ravel() for axis in np.mgrid[:height, :width])
    phase = x % _SIDE * _SIDE + y % _SIDE
    answers = np.zeros((points, _TAPS + len(lanes)), np.float32)
    for first in range(0, _TAPS, len(lanes)):
        lit = (phase[:, None] == np.arange(first, first + len(lanes))).astype(np.float32)
        filtered = np.zeros(lit.size, np.float32)
        kernel.add(filtered, lit.reshape(-1), 0, lattice, lanes)
        answers[:, first : first + len(lanes)] = filtered.reshape(lit.shape)
    taps = np.zeros((points, _TAPS), np.float32)
    for tap in range(_TAPS):
        there_x, there_y = x + tap // _SIDE - _REACH, y + tap % _SIDE - _REACH
        inside = (there_x >= 0) & (there_x < width) & (there_y >= 0) & (there_y < height)
        taps[inside, tap] = answers[inside, (there_x % _SIDE * _SIDE + there_y % _SIDE)[inside]]
    return taps.reshape(-1)


@compiled
def _apply(
    output: Floats,
    unary: Floats,
    values: Floats,
    start: int,
    taps: Floats,
    kinds: NDArray[np.int64],
    columns: int,
    lanes: Lanes,
) -> None:
    height, width = kinds.size, len(lanes)
    stride = columns * width
    for block in range(0, height, _BLOCK):
        # The last block begins earlier where the height is no multiple of 4: some rows are then
        # written twice.
        y = min(block, height - _BLOCK)
        a, b, c, d = (
            kinds[y] * columns,
            kinds[y + 1] * columns,
            kinds[y + 2] * columns,
            kinds[y + 3] * columns,
        )
        are_equal = a == b and b == c and c == d
        for x in range(columns):
            place = start + y * stride + x * width
            # the same call with equal arguments: the compiler then reads each weight once for all
            # rows
            if are_equal:
                _apply_to_four(
                    output, unary, values, place, stride, taps, a + x, a + x, a + x, a + x, lanes
                )
            else:
                _apply_to_four(
                    output, unary, values, place, stride, taps, a + x, b + x, c + x, d + x, lanes
                )


@inlined
def _apply_to_four(
    output: Floats,
    unary: Floats,
    values: Floats,
    place: int,
    stride: int,
    taps: Floats,
    kind_a: int,
    kind_b: int,
    kind_c: int,
    kind_d: int,
    lanes: Lanes,
) -> None:
    """Apply the stencil to four pixels below each other, the first of which begins at ``place``."""
    a, b = load(unary, place, lanes), load(unary, place + stride, lanes)
    c, d = load(unary, place + 2 * stride, lanes), load(unary, place + 3 * stride, lanes)
    for column in range(_SIDE):
        top = place - _REACH * stride + (column - _REACH) * len(lanes)
        for line in range(_SIDE + 3):
            row = load(values, top + line * stride, lanes)
            tap = column * _SIDE + line
            if line < _SIDE:
                a = add_scaled(a, row, item(taps, kind_a * _TAPS + tap))
            if 0 < line < _SIDE + 1:
                b = add_scaled(b, row, item(taps, kind_b * _TAPS + tap - 1))
            if 1 < line < _SIDE + 2:
                c = add_scaled(c, row, item(taps, kind_c * _TAPS + tap - 2))
            if line > 2:
                d = add_scaled(d, row, item(taps, kind_d * _TAPS + tap - 3))
    store(output, place, a)
    store(output, place + stride, b)
    store(output, place + 2 * stride, c)
    store(output, place + 3 * stride, d)
