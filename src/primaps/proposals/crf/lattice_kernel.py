"""The permutohedral lattice around the pixels of one image (Adams, Baek & Davis 2010), built by
compiled loops.

Vertices and weights are those of `primaps.proposals.crf.permutohedral.build_lattice`. The vertices
are numbered in the order in which the points touch them, so that neighbouring pixels find theirs
close together in memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import prefetch
from primaps.proposals.crf.permutohedral import coordinate_ranges, elevate

_ROUNDER = np.float32(12582912.0)
"""1.5 * 2^23: adding and subtracting it rounds a float32 below 2^22 to the nearest integer, half to
even.
"""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: the upper bits of a product with it are well mixed (Knuth,
TAOCP 3, section 6.4).
"""

_SLOTS_PER_VERTEX = 2
"""Places in the hash table for each vertex that is expected."""

_BLOCK = 64
"""Points that are worked on together."""

_AHEAD = 16
"""How many vertices ahead their place in the hash table is asked for: it is likely not to be found
in the cache.
"""


@dataclass(frozen=True)
class Vertices:
    """The vertices of a permutohedral lattice around P points.

    Attributes:
        corners: (P * (d + 1),) int32 vertices of the simplex around each point, point after point.
        weights: (P * (d + 1),) float32 weight of the point at each of these vertices: barycentric
            coordinates.
        chains: int32 vertices along each lattice axis, neighbour after neighbour; the first one of
            a chain is stored as its bitwise complement. Vertices without a neighbour along the axis
            are left out.
        chain_starts: (d + 2,) int64 position in ``chains`` where each axis starts.
        count: V, the number of vertices.
        around: Tuple of the length d + 1, the number of vertices around a point, which compiled
            functions must know.
    """

    corners: NDArray[np.int32]
    weights: NDArray[np.float32]
    chains: NDArray[np.int32]
    chain_starts: NDArray[np.int64]
    count: int
    around: tuple[int, ...]


def build_vertices(features: Tensor) -> Vertices:
    """Find the lattice around points.

    Args:
        features: (P, d) float32 on the CPU, in units of the standard deviation of the Gaussian; P *
            (d + 1) < 2^31.

    Returns:
        The vertices, their weights and neighbours.

    Raises:
        ConfigError: If the features span more lattice cells than 64-bit keys can tell apart.
    """
    elevated = elevate(features)
    low, extents = coordinate_ranges(elevated, 1)
    strides = np.array(
        [math.prod(extents[axis + 1 :]) for axis in range(len(extents))] + [0], np.int64
    )
    corners, weights, keys, slots = _number(elevated.numpy(), np.array(low, np.int64), strides)
    chains, starts = _link(keys, slots, strides)
    return Vertices(corners, weights, chains.copy(), starts, len(keys), (0,) * len(elevated))


@compiled
def _number(
    elevated: NDArray[np.float32], low: NDArray[np.int64], strides: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64], NDArray[np.int32]]:
    """Number the vertices around all points; coordinates are packed as in the plain implementation.

    Returns:
        Corners and weights as in `Vertices`, (V,) int64 keys, and the hash table from keys to
        vertices.
    """
    size, count = elevated.shape
    corners, weights = np.empty(count * size, np.int32), np.empty(count * size, np.float32)
    room = 1 << 6
    while room < count:
        room *= 2
    keys, slots = np.empty(room, np.int64), np.empty(_SLOTS_PER_VERTEX * room, np.int32)
    _rehash(keys, 0, slots)
    vertices = 0
    corner, residual = np.empty((size, _BLOCK), np.float32), np.empty((size, _BLOCK), np.float32)
    shares, rank = np.empty((size, _BLOCK), np.float32), np.empty((size, _BLOCK), np.int32)
    wanted = np.empty((size, _BLOCK), np.int64)
    for first in range(0, count, _BLOCK):
        block = min(_BLOCK, count - first)
        _find_simplices(elevated, first, block, corner, residual, rank)
        _weigh(residual, rank, block, shares)
        _pack_keys(corner, rank, block, low, strides, wanted)
        while vertices + size * block > keys.size:
            fewer, keys, slots = (
                keys,
                np.empty(2 * keys.size, np.int64),
                np.empty(2 * slots.size, np.int32),
            )
            for vertex in range(vertices):
                keys[vertex] = fewer[vertex]
            _rehash(keys, vertices, slots)
        for remainder in range(size):
            for point in range(block):
                prefetch(slots, _home(slots, wanted[remainder, point]))
        for point in range(block):
            for remainder in range(size):
                key = wanted[remainder, point]
                slot = _find_slot(keys, slots, key)
                if slots[slot] < 0:
                    slots[slot] = vertices
                    keys[vertices] = key
                    vertices += 1
                entry = (first + point) * size + remainder
                corners[entry] = slots[slot]
                weights[entry] = shares[remainder, point]
    return corners, weights, keys[:vertices], slots


@inlined
def _find_simplices(
    elevated: NDArray[np.float32],
    first: int,
    count: int,
    corner: NDArray[np.float32],
    residual: NDArray[np.float32],
    rank: NDArray[np.int32],
) -> None:
    """Find the simplices around ``count`` points (Adams et al. 2010, section 3.1).

    Fills, in (d + 1, B) buffers, the remainder-0 vertex, the distance of the point from it divided
    by d + 1, and the rank of this distance, 0 = largest. The innermost loops run over points, so
    that an instruction serves several of them.
    """
    size = len(elevated)
    inverse = np.float32(1.0 / size)
    excess = np.empty(_BLOCK, np.int32)
    for point in range(count):
        excess[point] = 0
    for axis in range(size):
        for point in range(count):
            rank[axis, point] = 0
            multiple = (elevated[axis, first + point] * inverse + _ROUNDER) - _ROUNDER
            excess[point] += np.int32(multiple)
            corner[axis, point] = multiple * np.float32(size)
            residual[axis, point] = elevated[axis, first + point] - corner[axis, point]
    for i in range(size):
        for j in range(i + 1, size):
            for point in range(count):
                smaller = np.int32(residual[i, point] < residual[j, point])
                rank[i, point] += smaller
                rank[j, point] += np.int32(1) - smaller
    # Rounding may leave the hyperplane: the coordinates that were rounded the furthest walk back by
    # one cell.
    for axis in range(size):
        for point in range(count):
            moved = rank[axis, point] + excess[point]
            wrap = np.int32(size) * (np.int32(moved < 0) - np.int32(moved >= size))
            rank[axis, point] = moved + wrap
            corner[axis, point] += np.float32(wrap)
            residual[axis, point] = (elevated[axis, first + point] - corner[axis, point]) * inverse


@inlined
def _weigh(
    residual: NDArray[np.float32], rank: NDArray[np.int32], count: int, shares: NDArray[np.float32]
) -> None:
    """Barycentric weight of the remainder-r vertex in row r, from the residuals in descending
    order.
    """
    size = len(residual)
    for remainder in range(size):
        for point in range(count):
            shares[remainder, point] = 0
        for axis in range(size):
            for point in range(count):
                here = rank[axis, point] == size - 1 - remainder
                shares[remainder, point] += residual[axis, point] if here else np.float32(0.0)
    for point in range(count):
        highest = shares[size - 1, point]
        for remainder in range(size - 1, 0, -1):
            shares[remainder, point] -= shares[remainder - 1, point]
        shares[0, point] = (np.float32(1.0) + shares[0, point]) - highest


@inlined
def _pack_keys(
    corner: NDArray[np.float32],
    rank: NDArray[np.int32],
    count: int,
    low: NDArray[np.int64],
    strides: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> None:
    """Key of the remainder-r vertex in row r; keys are linear in the coordinates."""
    size = len(corner)
    for point in range(count):
        keys[0, point] = 0
    grown = 0
    for axis in range(size - 1):
        grown += strides[axis]
        for point in range(count):
            keys[0, point] += (np.int64(corner[axis, point]) - low[axis]) * strides[axis]
    # From the remainder r - 1 to the remainder r vertex every coordinate grows by 1, but one falls
    # by d.
    for remainder in range(1, size):
        for point in range(count):
            keys[remainder, point] = keys[remainder - 1, point] + grown
        for axis in range(size):
            fall = size * strides[axis]
            for point in range(count):
                keys[remainder, point] -= fall if rank[axis, point] == size - remainder else 0


@inlined
def _home(slots: NDArray[np.int32], key: np.int64) -> np.uint64:
    """Where the search for ``key`` begins in a hash table of 2^n places."""
    return ((np.uint64(key) * _MULTIPLIER) >> np.uint64(32)) & np.uint64(slots.size - 1)


@inlined
def _find_slot(keys: NDArray[np.int64], slots: NDArray[np.int32], key: np.int64) -> np.uint64:
    """Where ``key`` stands in a hash table of 2^n places, or the free place where it belongs."""
    mask = np.uint64(slots.size - 1)
    slot = _home(slots, key)
    while slots[slot] >= 0 and keys[slots[slot]] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@inlined
def _rehash(keys: NDArray[np.int64], count: int, slots: NDArray[np.int32]) -> None:
    """Fill an empty hash table with the first ``count`` keys."""
    for slot in range(slots.size):
        slots[slot] = -1
    for vertex in range(count):
        slots[_find_slot(keys, slots, keys[vertex])] = vertex


@compiled
def _link(
    keys: NDArray[np.int64], slots: NDArray[np.int32], strides: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Chains of neighbours along each axis and where the axes start, as in `Vertices`."""
    count, size = keys.size, strides.size
    follower, is_first = np.empty(count, np.int32), np.empty(count, np.bool_)
    chains, starts = np.empty(count * size, np.int32), np.empty(size + 1, np.int64)
    length, grown = 0, 0
    for axis in range(size):
        grown += strides[axis]
    starts[0] = 0
    for axis in range(size):
        step = grown - size * strides[axis]
        for vertex in range(count):
            is_first[vertex] = True
            prefetch(slots, _home(slots, keys[min(vertex + _AHEAD, count - 1)] + step))
            follower[vertex] = slots[_find_slot(keys, slots, keys[vertex] + step)]
        for vertex in range(count):
            if follower[vertex] >= 0:
                is_first[follower[vertex]] = False
        for vertex in range(count):
            current = follower[vertex]
            if is_first[vertex] and current >= 0:
                chains[length] = ~vertex
                length += 1
                while current >= 0:
                    chains[length] = current
                    length += 1
                    current = follower[current]
        starts[axis + 1] = length
    return chains[:length], starts
