"""High-dimensional Gaussian filtering on the permutohedral lattice (Adams, Baek & Davis 2010), in
plain torch.

A Gaussian filter of points with d-dimensional features is factored into three sparse linear maps:
*splat* the values of the points onto the vertices of the lattice simplices that enclose them,
*blur* along the d + 1 lattice axes, *slice* back to the points. All three are rows of weighted
sums, so one operation (`SparseRows`) carries the whole filter on every device. Many value channels
are filtered at once, and several groups of points (images of a batch) share one lattice without
mixing.

Results do not depend on the number of threads or on the run: every output row is summed by one
worker in a fixed order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from primaps.errors import ConfigError

_MAX_COORDINATE = 1 << 22
"""Lattice coordinates beyond this are not exact in float32."""


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix stored by rows: row i is a weighted sum of a few rows of the operand.

    Attributes:
        columns: (E,) int32 or int64 column of each entry, row after row.
        starts: (R,) first entry of each row, of the same dtype.
        weights: (E,) float32 value of each entry.
    """

    columns: Tensor
    starts: Tensor
    weights: Tensor

    def __matmul__(self, values: Tensor) -> Tensor:
        """Product with a dense matrix.

        Args:
            values: (number of columns, L) float32, contiguous.

        Returns:
            (R, L) float32.
        """
        return F.embedding_bag(
            self.columns, values, self.starts, mode="sum", per_sample_weights=self.weights
        )

    def repeated(self, count: int, columns: int) -> SparseRows:
        """The block-diagonal matrix of ``count`` copies.

        Args:
            count: Number of copies.
            columns: Number of columns of one copy.
        """
        entries = len(self.columns)
        dtype = torch.int32 if count * max(entries, columns) < 2**31 else torch.int64
        copy = torch.arange(count, dtype=dtype, device=self.columns.device)[:, None]
        return SparseRows(
            (self.columns + copy * columns).flatten(),
            (self.starts + copy * entries).flatten(),
            self.weights.repeat(count),
        )


@dataclass(frozen=True)
class Lattice:
    """The vertices of a permutohedral lattice around a set of P points, as the three steps of the
    filter.

    Attributes:
        splat: (V, P) sparse matrix from points to vertices; the weights are barycentric
            coordinates.
        blur: d + 1 sparse (V, V) matrices, one per lattice axis, to be applied in order.
        slice: (P, V) sparse matrix from vertices to points, scaled so that the blur keeps the mass.
    """

    splat: SparseRows
    blur: tuple[SparseRows, ...]
    slice: SparseRows

    @property
    def num_points(self) -> int:
        """P, the number of points."""
        return len(self.slice.starts)

    @property
    def num_vertices(self) -> int:
        """V, the number of lattice vertices that some point touches."""
        return len(self.splat.starts)

    def filter(self, values: Tensor) -> Tensor:
        """Gaussian filter exp(-|f_i - f_j|^2 / 2), self term included, not normalised.

        Args:
            values: (P, L) float32, contiguous.

        Returns:
            (P, L) float32.
        """
        vertices = self.splat @ values
        for axis in self.blur:
            vertices = axis @ vertices
        return self.slice @ vertices

    def repeated(self, count: int) -> Lattice:
        """The lattice of ``count`` groups of points that all lie as these do; groups do not
        influence each other.
        """
        if count == 1:
            return self
        return Lattice(
            splat=self.splat.repeated(count, self.num_points),
            blur=tuple(axis.repeated(count, self.num_vertices) for axis in self.blur),
            slice=self.slice.repeated(count, self.num_vertices),
        )

    def normalized(self, scale: float = 1.0) -> Lattice:
        """The lattice of the symmetrically normalised filter scale * D^-1/2 K D^-1/2 with D =
        diag(K 1) + 1e-20.

        Args:
            scale: Factor of the filter's output.
        """
        ones = torch.ones(self.num_points, 1, dtype=torch.float32, device=self.splat.weights.device)
        norm = (self.filter(ones).squeeze(1) + 1e-20).rsqrt_()
        per_point = len(self.slice.weights) // self.num_points
        return Lattice(
            splat=SparseRows(
                self.splat.columns, self.splat.starts, self.splat.weights * norm[self.splat.columns]
            ),
            blur=self.blur,
            slice=SparseRows(
                self.slice.columns,
                self.slice.starts,
                self.slice.weights * (norm * scale).repeat_interleave(per_point),
            ),
        )


def build_lattice(features: Tensor) -> Lattice:
    """Build the lattice that filters points by their features.

    Args:
        features: (G, P, d) float32, features in units of the standard deviation of the Gaussian: G
            groups of P points each. Points of different groups do not influence each other.

    Returns:
        The lattice over all G * P points, group after group. Vertices that no point touches do not
        exist and count as 0 in the blur.

    Raises:
        ConfigError: If the features span more lattice cells than 64-bit keys can tell apart.
    """
    groups, points, dim = features.shape
    count = groups * points
    keys, strides, weights = _vertices(features.reshape(count, dim), groups)
    index_dtype = torch.int32 if keys.numel() < 2**31 else torch.int64

    keys, order = keys.flatten().sort(stable=True)
    is_first = torch.ones_like(keys, dtype=torch.bool)
    torch.ne(keys[1:], keys[:-1], out=is_first[1:])
    vertex = torch.empty(keys.shape, dtype=index_dtype, device=keys.device)
    vertex[order] = (is_first.cumsum(0) - 1).to(index_dtype)
    keys = keys[is_first]

    splat = SparseRows(
        columns=(order % count).to(index_dtype),
        starts=is_first.nonzero().squeeze(1).to(index_dtype),
        weights=weights.flatten()[order],
    )
    del order, is_first
    # Each blur multiplies the mass by up to 2 per axis; this is the gain of the whole filter
    # (Krähenbühl & Koltun 2011).
    gain = 1.0 / (1.0 + 2.0**-dim)
    per_point = dim + 1
    slice_ = SparseRows(
        columns=vertex.view(per_point, count).t().flatten(),
        starts=torch.arange(0, count * per_point, per_point, dtype=index_dtype, device=keys.device),
        weights=(weights * gain).t().flatten(),
    )
    blur = tuple(
        _blur_along(keys, sum(strides) - per_point * stride, index_dtype) for stride in strides
    )
    return Lattice(splat, blur, slice_)


def _vertices(features: Tensor, groups: int) -> tuple[Tensor, list[int], Tensor]:
    """Find and number the simplex vertices around each point.

    Returns:
        (d + 1, P) int64 keys of the vertices, the weight of each of the d + 1 coordinates in a key,
        and (d + 1, P) float32 barycentric weights of the vertices.
    """
    elevated = elevate(features)
    low, extents = coordinate_ranges(elevated, groups)
    corner, rank, weights = _enclosing_simplex(elevated)
    keys, strides = _pack_keys(corner, rank, groups, low, extents)
    return keys, strides, weights


def elevate(features: Tensor) -> Tensor:
    """Embed (P, d) features in the hyperplane of zero sum, (d + 1, P), where the blur has unit
    standard deviation.
    """
    dim = features.shape[1]
    elevated = features.new_empty(dim + 1, len(features))
    total = torch.zeros_like(features[:, 0])
    for axis in range(dim, 0, -1):
        scaled = features[:, axis - 1] * (
            math.sqrt(2.0 / 3.0) * (dim + 1) / math.sqrt(axis * (axis + 1))
        )
        elevated[axis] = total - axis * scaled
        total = total + scaled
    elevated[0] = total
    return elevated


def _enclosing_simplex(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the lattice simplex around each point (Adams et al. 2010, section 3.1).

    Args:
        elevated: (d + 1, P) float32 coordinates of zero sum.

    Returns:
        (d + 1, P) float32 coordinates of the simplex's remainder-0 vertex, all multiples of d + 1;
        (d + 1, P) int64 rank of each coordinate's residual, 0 = largest; (d + 1, P) float32
        barycentric weight of the remainder-r vertex in row r.
    """
    size = len(elevated)
    multiple = torch.round(elevated * (1.0 / size))
    corner = multiple * size
    residual = elevated - corner
    rank = torch.zeros_like(elevated, dtype=torch.int64)
    for i in range(size):
        for j in range(i + 1, size):
            smaller = residual[i] < residual[j]
            rank[i] += smaller
            rank[j] += ~smaller
    # Rounding may leave the hyperplane: the coordinates that were rounded the furthest walk back by
    # one cell.
    rank += multiple.sum(0).to(torch.int64)
    wrap = ((rank < 0).to(torch.int64) - (rank >= size).to(torch.int64)) * size
    rank += wrap
    corner += wrap
    descending = torch.empty_like(elevated).scatter_(0, rank, (elevated - corner) * (1.0 / size))
    weights = torch.empty_like(elevated)
    weights[0] = 1.0 + descending[-1] - descending[0]
    weights[1:] = (descending[:-1] - descending[1:]).flip(0)
    return corner, rank, weights


def coordinate_ranges(elevated: Tensor, groups: int) -> tuple[list[int], list[int]]:
    """Lowest value and number of values of the first d coordinates of all vertices and their
    neighbours.

    Raises:
        ConfigError: If coordinates are not exact in float32 or keys of all vertices do not fit 64
            bits.
    """
    dim = len(elevated) - 1
    lowest, highest = torch.stack([elevated[:-1].amin(1), elevated[:-1].amax(1)]).tolist()
    # Written so that NaN fails as well.
    if not all(
        a > -_MAX_COORDINATE and b < _MAX_COORDINATE for a, b in zip(lowest, highest, strict=True)
    ):
        raise ConfigError(
            f"Expected lattice coordinates below {_MAX_COORDINATE}, but got the range {lowest} to"
            f" {highest}. Choose larger standard deviations."
        )
    # A vertex of the enclosing simplex is at most d away from the point, its neighbour d more; 1
    # for rounding.
    margin = 2 * dim + 1
    low = [math.floor(value) - margin for value in lowest]
    extents = [
        math.ceil(value) + margin - start + 1 for value, start in zip(highest, low, strict=True)
    ]
    if math.prod(extents) * groups >= 2**63:
        raise ConfigError(
            "Expected the features to span fewer than 2**63 lattice cells, but got"
            f" {math.prod(extents)} in each of {groups} image(s). Choose larger standard deviations"
            " or smaller images."
        )
    return low, extents


def _pack_keys(
    corner: Tensor, rank: Tensor, groups: int, low: list[int], extents: list[int]
) -> tuple[Tensor, list[int]]:
    """Pack the coordinates of every simplex vertex, and the group, into one integer that is linear
    in the coordinates.

    Returns:
        (d + 1, P) int64 key of the remainder-r vertex in row r, and the weight of each of the d + 1
        coordinates in a key (the last coordinate is redundant and weighs 0). Every coordinate has
        its own range of values, so keys are unique.
    """
    size, count = corner.shape
    strides = [math.prod(extents[axis + 1 :]) for axis in range(size - 1)] + [0]
    key = torch.arange(groups, device=corner.device).repeat_interleave(count // groups) * math.prod(
        extents
    )
    for axis, start in enumerate(low):
        key += (corner[axis].to(torch.int64) - start) * strides[axis]
    # From the remainder r - 1 to the remainder r vertex every coordinate grows by 1, but one falls
    # by d.
    falling = torch.empty_like(rank)
    falling.scatter_(0, rank, torch.tensor(strides, device=corner.device)[:, None].expand_as(rank))
    keys = torch.empty_like(rank)
    keys[0] = key
    keys[1:] = sum(strides) - size * falling[1:].flip(0)
    return keys.cumsum_(0), strides


def _blur_along(keys: Tensor, step: int, index_dtype: torch.dtype) -> SparseRows:
    """Matrix of v + (n1 + n2) / 2, where the neighbours' keys differ by ``step``; missing
    neighbours count 0.

    Args:
        keys: (V,) int64 keys of the vertices, ascending.
        step: Difference of the keys of two neighbours along the axis.
        index_dtype: Dtype of the row and column numbers.
    """
    wanted = keys + step
    position = torch.searchsorted(keys, wanted).clamp_(max=len(keys) - 1)
    lower = (keys[position] == wanted).nonzero().squeeze(1)
    upper = position[lower]
    counts = torch.ones_like(keys)
    counts[lower] += 1
    counts[upper] += 1
    starts = counts.cumsum(0) - counts
    # A row holds the vertex itself first, its upper neighbour second and its lower neighbour last,
    # where they exist.
    columns = torch.empty(len(keys) + 2 * len(lower), dtype=index_dtype, device=keys.device)
    weights = torch.full(columns.shape, 0.5, dtype=torch.float32, device=keys.device)
    columns[starts] = torch.arange(len(keys), dtype=index_dtype, device=keys.device)
    weights[starts] = 1.0
    columns[starts[lower] + 1] = upper.to(index_dtype)
    columns[starts[upper] + counts[upper] - 1] = lower.to(index_dtype)
    return SparseRows(columns, starts.to(index_dtype), weights)
