"""Gaussian filtering on the permutohedral lattice by compiled loops (Adams, Baek & Davis 2010):
splat, blur, slice.

Values are rows of a few labels, one row per point. The number of labels in a row is the length of
the tuple ``lanes``, which is known when the loops are compiled. Each sum is taken in a fixed order
by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled
from primaps.compute.compiling.vectors import (
    add,
    add_scaled,
    fill,
    item,
    load,
    prefetch,
    scaled,
    store,
)
from primaps.proposals.crf.lattice_kernel import Vertices, build_vertices

Floats = NDArray[np.float32]
Lanes = tuple[int, ...]

_EPSILON = np.float32(1e-20)
_CACHE_LINE = 16
"""Number of float32 values in a cache line of 64 bytes."""

LARGE = 1 << 20
"""Lattices of more values (4 MB) are asked for ahead of time: they are likely not to be found in
the cache.
"""

AHEAD = 48
"""How many vertices ahead."""


@dataclass(frozen=True)
class LatticeFilter:
    """The filter scale * D^-1/2 K D^-1/2 on P points, where K is the Gaussian kernel and D = diag(K
    1) + 1e-20.

    Attributes:
        vertices: The lattice; its weights hold the factor D^-1/2.
        scale: Factor of the output, with the gain of the lattice.
    """

    vertices: Vertices
    scale: np.float32

    def spread(self, values: Floats, start: int, lattice: Floats, lanes: Lanes) -> Floats:
        """Splat and blur.

        Args:
            values: (N,) float32 that holds P rows of labels, the first of which begins at
                ``start``.
            start: See ``values``.
            lattice: (V * labels or more,) float32 to work in.
            lanes: Tuple as long as a row.

        Returns:
            (V * labels,) float32 values of the vertices, a part of ``lattice``.
        """
        v = self.vertices
        part = lattice[: v.count * len(lanes)]
        _splat(part, values, start, v.corners, v.weights, v.around, lanes)
        _blur(part, v.chains, v.chain_starts, lanes)
        return part

    def add(
        self, output: Floats, values: Floats, start: int, lattice: Floats, lanes: Lanes
    ) -> None:
        """Add the filtered values to ``output``, which has the layout of ``values``; further
        arguments as in `spread`.
        """
        v = self.vertices
        part = self.spread(values, start, lattice, lanes)
        _add_slice(output, start, part, v.corners, v.weights, v.around, self.scale, lanes)


def build_filter(features: Tensor, scale: float) -> LatticeFilter:
    """Build the normalised filter.

    Args:
        features: (P, d) float32 on the CPU, in units of the standard deviation of the Gaussian; P *
            (d + 1) < 2^31.
        scale: Factor of the output.

    Raises:
        ConfigError: If the features span more lattice cells than 64-bit keys can tell apart.
    """
    vertices, points, lanes = build_vertices(features), len(features), (0,) * 4
    # Each blur multiplies the mass by up to 2 per axis; this is the gain of the whole filter
    # (Krähenbühl & Koltun 2011).
    gain = np.float32(1.0 / (1.0 + 2.0 ** (1 - len(vertices.around))))
    ones, sums = np.ones(points * len(lanes), np.float32), np.zeros(points * len(lanes), np.float32)
    LatticeFilter(vertices, gain).add(sums, ones, 0, aligned(vertices.count * len(lanes)), lanes)
    norm = 1 / np.sqrt(sums[:: len(lanes)] + _EPSILON)
    weights = vertices.weights.reshape(points, -1) * norm[:, None]
    return LatticeFilter(replace(vertices, weights=weights.reshape(-1)), gain * np.float32(scale))


def aligned(count: int) -> Floats:
    """Array of ``count`` uninitialised float32 that begins at a cache line."""
    values = np.empty(count + _CACHE_LINE, np.float32)
    first = -(values.ctypes.data // values.itemsize) % _CACHE_LINE
    return values[first : first + count]


@compiled
def _splat(
    lattice: Floats,
    values: Floats,
    start: int,
    corners: NDArray[np.int32],
    weights: Floats,
    around: Lanes,
    lanes: Lanes,
) -> None:
    """Distribute the values of the points over the vertices around them."""
    width, is_large = len(lanes), lattice.size > LARGE
    lattice[:] = 0
    for point in range(corners.size // len(around)):
        row = load(values, start + point * width, lanes)
        for corner in range(len(around)):
            entry = point * len(around) + corner
            if is_large:
                prefetch(
                    lattice, np.int64(item(corners, min(entry + AHEAD, corners.size - 1))) * width
                )
            place = np.int64(item(corners, entry)) * width
            store(
                lattice, place, add_scaled(load(lattice, place, lanes), row, item(weights, entry))
            )


@compiled
def _blur(
    lattice: Floats, chains: NDArray[np.int32], starts: NDArray[np.int64], lanes: Lanes
) -> None:
    """Along each axis in turn, add half the neighbours to each vertex, in place; missing neighbours
    count 0.
    """
    width, is_large = len(lanes), lattice.size > LARGE
    for axis in range(starts.size - 1):
        first, last = starts[axis], starts[axis + 1]
        if first == last:
            continue
        previous = fill(np.float32(0.0), lanes)
        place = np.int64(~item(chains, first)) * width
        current = load(lattice, place, lanes)
        for index in range(first + 1, last):
            code = item(chains, index)
            if is_large:
                ahead = item(chains, min(index + AHEAD, last - 1))
                prefetch(lattice, np.int64(max(ahead, ~ahead)) * width)
            linked = np.float32(code >= 0)  # 0 where another chain begins
            next_place = np.int64(max(code, ~code)) * width
            following = load(lattice, next_place, lanes)
            neighbours = add(previous, scaled(following, linked))
            store(lattice, place, add_scaled(current, neighbours, np.float32(0.5)))
            previous, current, place = scaled(current, linked), following, next_place
        store(lattice, place, add_scaled(current, previous, np.float32(0.5)))


@compiled
def _add_slice(
    output: Floats,
    start: int,
    lattice: Floats,
    corners: NDArray[np.int32],
    weights: Floats,
    around: Lanes,
    scale: np.float32,
    lanes: Lanes,
) -> None:
    """Add the interpolated values of the vertices to the points."""
    width = len(lanes)
    for point in range(corners.size // len(around)):
        row = fill(np.float32(0.0), lanes)
        for corner in range(len(around)):
            entry = point * len(around) + corner
            row = add_scaled(
                row,
                load(lattice, np.int64(item(corners, entry)) * width, lanes),
                item(weights, entry),
            )
        place = start + point * width
        store(output, place, add_scaled(load(output, place, lanes), row, scale))
