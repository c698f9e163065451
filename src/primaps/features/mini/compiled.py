"""The costly parts of `mini` on the CPU: matrix products of parts that fit the cache, and compiled
loops between them.

Equal to `primaps.features.mini.plain` up to rounding.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import (
    add,
    add_scaled,
    fill,
    larger,
    load,
    power_of_two,
    root,
    store,
    total,
)

Floats = NDArray[np.float32]
Lanes = tuple[int, ...]

_LANES: Final[Lanes] = (0,) * 8

_ROWS: Final = 128
"""Cells whose affinities are held at a time ..."""

_COLUMNS: Final = 4096
"""... to this many others: 2 MiB."""

_PATCHES: Final = 256
"""Patches whose distances from all centres are held at a time, about."""

_NOTHING: Final = np.float32(-1e30)
"""2 to the power of it is 0."""


def mean_shift(cells: torch.Tensor, rounds: int, temperature: float) -> torch.Tensor:
    """As `primaps.features.mini.plain.mean_shift`; every affinity is computed once for both of its
    cells.

    Args:
        cells: (N, C, h, w) float32 on the CPU.
        rounds: How often.
        temperature: Positive.

    Returns:
        (N, C, h, w) float32.
    """
    shifted = torch.stack([_shift_image(image, rounds, temperature) for image in cells.flatten(2)])
    return shifted.view(cells.shape)


def _shift_image(tokens: torch.Tensor, rounds: int, temperature: float) -> torch.Tensor:
    count = tokens.shape[1]
    factor = 1.0 / (temperature * math.log(2))  # the affinities are powers of two
    memory = torch.empty(min(_ROWS, count) * _whole_vectors(min(_COLUMNS, count)))
    for _ in range(rounds):
        unit = F.normalize(tokens, dim=0)
        queries = (unit * factor).T.contiguous()
        shifted, sums = torch.zeros_like(tokens), np.zeros(_whole_vectors(count), np.float32)
        for first in range(0, count, _ROWS):
            rows = slice(first, min(first + _ROWS, count))
            later = [
                slice(start, min(start + _COLUMNS, count))
                for start in range(rows.stop, count, _COLUMNS)
            ]
            for columns in (rows, *later):
                height, width = rows.stop - rows.start, columns.stop - columns.start
                affinity = memory[: height * _whole_vectors(width)].view(height, -1)[:, :width]
                torch.mm(queries[rows], unit[:, columns], out=affinity)
                mirrored = columns is not rows
                _exponentiate(
                    memory.numpy(),
                    height,
                    width,
                    np.float32(-factor),
                    sums,
                    first,
                    columns.start,
                    mirrored,
                    _LANES,
                )
                shifted[:, rows].addmm_(tokens[:, columns], affinity.T)
                if mirrored:
                    shifted[:, columns].addmm_(tokens[:, rows], affinity)
        tokens = shifted.div_(torch.from_numpy(sums[:count]))
    return tokens


def _whole_vectors(count: int) -> int:
    return -(-count // len(_LANES)) * len(_LANES)


@compiled
def _exponentiate(
    block: Floats,
    height: int,
    width: int,
    shift: np.float32,
    sums: Floats,
    first: int,
    start: int,
    mirrored: bool,
    lanes: Lanes,
) -> None:
    """Replace a block by powers of two and add its rows, and if it is mirrored its columns, to the
    sums of their cells.
    """
    length = -(-width // len(lanes)) * len(lanes)
    for row in range(height):
        for column in range(width, length):
            block[row * length + column] = _NOTHING
        row_sum, bias = fill(np.float32(0.0), lanes), fill(shift, lanes)
        for column in range(0, length, len(lanes)):
            powers = power_of_two(add(load(block, row * length + column, lanes), bias))
            store(block, row * length + column, powers)
            row_sum = add(row_sum, powers)
            if mirrored:
                store(sums, start + column, add(load(sums, start + column, lanes), powers))
        sums[first + row] += total(row_sum)


def triangle(patches: torch.Tensor, centres: torch.Tensor, per_cell: int) -> torch.Tensor:
    """Triangle activations as `primaps.features.mini.plain.triangle` gives them, averaged over the
    patches of a cell.

    Args:
        patches: (N, D, H, W) float32 whitened patches on the CPU.
        centres: (K, D) float32; the second half are the mirror images of the first. K is a multiple
            of 16.
        per_cell: Side of a cell in patches; both sides are multiples of it.

    Returns:
        (N, K / 2, H / per_cell, W / per_cell) float32, channels last in memory.

    Raises:
        ValueError: If K is not a multiple of 16, or a side not one of ``per_cell``.
    """
    (images, _, rows, columns), number = patches.shape, len(centres)
    if number % (2 * len(_LANES)) or rows % per_cell or columns % per_cell:
        raise ValueError(
            f"expected a multiple of {2 * len(_LANES)} centres and whole cells, not {number},"
            f" {rows} x {columns}"
        )
    height, width = rows // per_cell, columns // per_cell
    result = torch.empty(images, height * width, number // 2)
    weights, lengths = -2.0 * centres.T, centres.square().sum(dim=1).numpy()
    step = max(1, _PATCHES // (per_cell * columns)) * per_cell * columns  # whole rows of cells
    memory = torch.empty(min(step, rows * columns), number)
    for image, cells in zip(patches.flatten(2), result, strict=True):
        squares = image.square().sum(dim=0).numpy()
        for first in range(0, rows * columns, step):
            part = slice(first, min(first + step, rows * columns))
            products = torch.mm(image[:, part].T, weights, out=memory[: part.stop - first])
            found = cells[first // per_cell**2 : part.stop // per_cell**2]
            _add_triangles(
                found.view(-1).numpy(),
                products.view(-1).numpy(),
                squares[part],
                lengths,
                width,
                per_cell,
                _LANES,
            )
    return result.view(images, height, width, -1).permute(0, 3, 1, 2)


@compiled
def _add_triangles(
    cells: Floats,
    products: Floats,
    squares: Floats,
    lengths: Floats,
    width: int,
    per_cell: int,
    lanes: Lanes,
) -> None:
    """Activations of some rows of cells from inner products times -2, (patches, centres), and
    squared lengths of both.
    """
    centres, zero = len(lengths), fill(np.float32(0.0), lanes)
    half, share = centres // 2, np.float32(1.0) / np.float32(per_cell * per_cell)
    for cell in range(len(cells) // half):
        for label in range(0, half, len(lanes)):
            store(cells, cell * half + label, zero)
        row, column = cell // width * per_cell, cell % width * per_cell
        for index in range(per_cell * per_cell):
            patch = (row + index // per_cell) * width * per_cell + column + index % per_cell
            start = patch * centres
            level = fill(
                _distances(products, start, squares[patch], lengths, lanes) / np.float32(centres),
                lanes,
            )
            for label in range(start, start + half, len(lanes)):
                near = larger(
                    add_scaled(level, load(products, label, lanes), np.float32(-1.0)), zero
                )
                near = add(
                    near,
                    larger(
                        add_scaled(level, load(products, label + half, lanes), np.float32(-1.0)),
                        zero,
                    ),
                )
                place = cell * half + label - start
                store(cells, place, add_scaled(load(cells, place, lanes), near, share))


@inlined
def _distances(
    products: Floats, start: int, square: np.float32, lengths: Floats, lanes: Lanes
) -> Any:
    """Replace the inner products of one patch by its distances from the centres; returns their
    sum.
    """
    sums, zero, own = (
        fill(np.float32(0.0), lanes),
        fill(np.float32(0.0), lanes),
        fill(square, lanes),
    )
    for label in range(0, len(lengths), len(lanes)):
        squared = add(add(load(products, start + label, lanes), load(lengths, label, lanes)), own)
        distances = root(larger(squared, zero))
        store(products, start + label, distances)
        sums = add(sums, distances)
    return total(sums)
