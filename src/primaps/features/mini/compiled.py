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
    scaled,
    store,
    total,
)
from primaps.features.colour import RGB_TO_XYZ

Floats = NDArray[np.float32]
Lanes = tuple[int, ...]

_LANES: Final[Lanes] = (0,) * 8

_ROWS: Final = 128
"""Cells whose affinities are held at a time ..."""

_COLUMNS: Final = 4096
"""... to this many others: 2 MiB."""

_PIXELS: Final = 1024

_XYZ: Final = np.array(RGB_TO_XYZ, np.float32)

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


def window_means(cells: torch.Tensor, sides: tuple[int, ...]) -> torch.Tensor:
    """Means over square windows as `primaps.features.cells.window_mean` gives them.

    Args:
        cells: (N, C, h, w) float32 on the CPU.
        sides: S sides of windows in cells, odd.

    Returns:
        (N, S, C, h, w) float32.
    """
    (images, channels, height, width), reaches = (
        cells.shape,
        np.array([side // 2 for side in sides]),
    )
    result = torch.empty(images, len(sides), channels, height, width)
    for image, means in zip(cells.contiguous(), result, strict=True):
        _average(
            means.view(-1).numpy(), image.view(-1).numpy(), channels, height, width, reaches, _LANES
        )
    return result


@compiled
def _average(
    means: Floats,
    cells: Floats,
    channels: int,
    height: int,
    width: int,
    reaches: NDArray[np.int64],
    lanes: Lanes,
) -> None:
    """Sums along columns, then along rows, of one channel at a time, with zeros around it."""
    border, area = reaches.max(), height * width
    length = border + -(-width // len(lanes)) * len(lanes) + border
    plane, row, sums = (
        np.zeros(height * length, np.float32),
        np.zeros(length, np.float32),
        np.zeros(length, np.float32),
    )
    shares = _shares(width, reaches)
    for channel in range(channels):
        for y in range(height):
            for x in range(width):
                plane[y * length + border + x] = cells[channel * area + y * width + x]
        for index in range(len(reaches)):
            reach, start = reaches[index], (index * channels + channel) * area
            for y in range(height):
                first, last = max(0, y - reach), min(height - 1, y + reach)
                for x in range(border, length - border, len(lanes)):
                    store(
                        row, x, _sum_of(plane, first * length + x, length, last - first + 1, lanes)
                    )
                share = np.float32(1.0) / np.float32(last - first + 1)
                for x in range(border, length - border, len(lanes)):
                    store(sums, x, scaled(_sum_of(row, x - reach, 1, 2 * reach + 1, lanes), share))
                for x in range(width):
                    means[start + y * width + x] = sums[border + x] * shares[index, x]


@inlined
def _sum_of(values: Floats, start: int, step: int, count: int, lanes: Lanes) -> Any:
    """Sum of ``count`` vectors that are ``step`` values apart."""
    summed = load(values, start, lanes)
    for index in range(1, count):
        summed = add(summed, load(values, start + index * step, lanes))
    return summed


@inlined
def _shares(width: int, reaches: NDArray[np.int64]) -> Floats:
    """1 / number of columns of each window that are inside."""
    shares = np.empty((len(reaches), width), np.float32)
    for index in range(len(reaches)):
        for x in range(width):
            inside = min(width - 1, x + reaches[index]) - max(0, x - reaches[index]) + 1
            shares[index, x] = np.float32(1.0) / np.float32(inside)
    return shares


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """CIELAB colour as `primaps.features.colour.rgb_to_lab` gives it: (N, 3, H, W) float32 in [0,
    1] on the CPU, and back.
    """
    result = torch.empty(rgb.shape)
    for image, lab in zip(rgb.contiguous(), result, strict=True):
        _convert(lab.view(3, -1).numpy(), image.view(3, -1).numpy(), _XYZ)
    return result


@compiled
def _convert(lab: Floats, rgb: Floats, matrix: Floats) -> None:
    """All pixels of one image, some at a time."""
    linear, roots = np.empty((3, _PIXELS), np.float32), np.empty((3, _PIXELS), np.float32)
    for first in range(0, rgb.shape[1], _PIXELS):
        count = min(_PIXELS, rgb.shape[1] - first)
        for channel in range(3):
            for pixel in range(count):
                linear[channel, pixel] = _linear(rgb[channel, first + pixel])
        for axis in range(3):
            red, green, blue = matrix[axis]
            for pixel in range(count):
                roots[axis, pixel] = _lightness(
                    red * linear[0, pixel] + green * linear[1, pixel] + blue * linear[2, pixel]
                )
        for pixel in range(count):
            x, y, z = roots[0, pixel], roots[1, pixel], roots[2, pixel]
            lab[0, first + pixel] = np.float32(1.16) * y - np.float32(0.16)
            lab[1, first + pixel] = np.float32(5.0) * (x - y)
            lab[2, first + pixel] = np.float32(2.0) * (y - z)


@inlined
def _linear(value: np.float32) -> np.float32:
    """From sRGB to linear light; the fifth root by Newton's method from a polynomial that is within
    1 % of it.
    """
    base = max((value + np.float32(0.055)) / np.float32(1.055), np.float32(0.09))
    guess = np.float32(0.66836448) * base - np.float32(1.45288776)
    guess = (guess * base + np.float32(1.27272495)) * base + np.float32(0.51897988)
    for _ in range(2):
        square = guess * guess
        guess = np.float32(0.8) * guess + np.float32(0.2) * base / (square * square)
    power = base * base * (guess * guess)  # to the power of 2.4
    return power if value > np.float32(0.04045) else value / np.float32(12.92)


@inlined
def _lightness(value: np.float32) -> np.float32:
    """Cube root, by Newton's method from a polynomial that is within 9 % of it, and a straight line
    for small values.
    """
    base = max(value, np.float32(0.008856))
    guess = np.float32(3.1679009) * base - np.float32(5.36566884)
    guess = (guess * base + np.float32(3.08621657)) * base + np.float32(0.19750495)
    for _ in range(3):
        guess = np.float32(2 / 3) * guess + np.float32(1 / 3) * base / (guess * guess)
    return (
        guess if value > np.float32(0.008856) else np.float32(7.787) * value + np.float32(16 / 116)
    )
