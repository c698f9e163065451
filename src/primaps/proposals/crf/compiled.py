"""Mean field of the dense CRF as compiled loops for the CPU, one image after another.

Equal to `primaps.proposals.crf.plain` up to rounding, with the same functions. The loops are here,
in `primaps.proposals.crf.filter_kernel`, `primaps.proposals.crf.lattice_kernel` and
`primaps.proposals.crf.stencil_kernel`. Arguments are checked by `primaps.proposals.crf.dense_crf`.

Up to 16 labels of a pixel form a row, padded to 4, 8 or 16; more labels are spread over several
planes of rows, which are filtered one after another and meet in the softmax. The result does not
depend on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import (
    add,
    add_scaled,
    exponential,
    fill,
    item,
    largest,
    load,
    prefetch,
    scaled,
    store,
    total,
    without_small,
)
from primaps.config import CRFConfig
from primaps.proposals.crf.filter_kernel import (
    AHEAD,
    LARGE,
    Floats,
    Lanes,
    LatticeFilter,
    aligned,
    build_filter,
)
from primaps.proposals.crf.plain import MIN_PROBABILITY, NEGLIGIBLE
from primaps.proposals.crf.stencil_kernel import (
    Stencil,
    build_stencil,
    has_stencil,
    pixel_positions,
)

_COST = {16: 9.9, 8: 5.7, 4: 4.8}
"""Measured cost of a plane of rows of so many labels, in relation to the others."""

_MAX_LATTICE = 1 << 24
"""Largest number of values on the lattice (64 MB) where rows can be made shorter."""

_PIXELS_AT_ONCE = 64


def fits(points: int) -> bool:
    """Whether 32-bit numbers suffice for the lattice of an image of so many pixels."""
    return points * 6 < 2**31


def cache_folder() -> str | None:
    """Where the machine code is kept; None if no folder can be written."""
    return _finish.folder


def mean_field_batch(
    images: Tensor,
    probabilities: Tensor,
    config: CRFConfig,
    iterations: int,
    labels: Sequence[int] | None = None,
) -> Tensor:
    """Mean-field inference for N images of one size.

    Args:
        images: (N, H, W, 3) uint8 RGB on the CPU, of a size that `fits`.
        probabilities: (N, M, H, W) floating point on the CPU, without NaN.
        config: Kernel widths and weights.
        iterations: Mean-field iterations.
        labels: How many of the M labels each image has, at least 1; None = all.

    Returns:
        (N, M, H, W) float32 posterior, contiguous; 0 for labels that an image does not have.

    Raises:
        ConfigError: If the features span more lattice cells than 64-bit keys can tell apart.
    """
    posterior = torch.empty(probabilities.shape, dtype=torch.float32)
    own = [probabilities.shape[1]] * len(images) if labels is None else labels
    for image, given, result, count in zip(images, probabilities, posterior, own, strict=True):
        _infer(image, given[:count], result[:count], config, iterations)
        result[count:] = 0.0
    return posterior


def _infer(
    image: Tensor, probabilities: Tensor, posterior: Tensor, config: CRFConfig, iterations: int
) -> None:
    """Mean-field inference for one image, from probabilities (M, H, W) to a posterior of the same
    shape.
    """
    height, width = image.shape[:2]
    position = pixel_positions(height, width)
    # The lattice approximates the Gaussian, and its error depends on the order of the axes: the
    # common implementations are fed blue first.
    colour = image.flip(2).reshape(-1, 3).to(torch.float32) / config.bilateral_srgb
    appearance = build_filter(
        torch.cat([position / config.bilateral_sxy, colour], 1), config.bilateral_compat
    )
    if has_stencil(height, config.gaussian_sxy):
        smoothness: Stencil | LatticeFilter = build_stencil(height, width, config.gaussian_compat)
    else:
        smoothness = build_filter(position / config.gaussian_sxy, config.gaussian_compat)
    inference = _Inference(probabilities, smoothness, appearance)
    for step in range(iterations):
        inference.iterate(NEGLIGIBLE if step < iterations - 1 else 0.0)
    inference.write(posterior)


class _Inference:
    """State of the inference: posterior and log-probabilities as planes of rows of labels, and the
    two kernels.

    A plane is a part of a long array: a margin of rows that the stencil may touch, one row per
    pixel, the margin again.
    """

    def __init__(
        self,
        probabilities: Tensor,
        smoothness: Stencil | LatticeFilter,
        appearance: LatticeFilter,
    ) -> None:
        self.smoothness, self.appearance = smoothness, appearance
        vertices, margin = appearance.vertices.count, 0
        if isinstance(smoothness, Stencil):
            margin = smoothness.halo
        else:
            vertices = max(vertices, smoothness.vertices.count)
        labels, points = probabilities.shape[0], probabilities[0].numel()
        self.lanes = (0,) * _choose_width(labels, vertices)
        self.lattice = aligned(vertices * len(self.lanes))
        self.start, self.size = margin * len(self.lanes), (points + 2 * margin) * len(self.lanes)
        count = -(-labels // len(self.lanes))
        # One plane is spare and takes the next result.
        self.values, self.unary = aligned((count + 1) * self.size), aligned(count * self.size)
        self.planes, self.spare = [index * self.size for index in range(count)], count * self.size
        for plane in [*self.planes, self.spare]:
            self.values[plane : plane + self.start] = 0
            self.values[plane + self.size - self.start : plane + self.size] = 0
        self._read(probabilities.detach().reshape(labels, points))

    def _read(self, probabilities: Tensor) -> None:
        """Fill the planes; padding is probability 0 from here on."""
        clipped = probabilities.to(torch.float32).contiguous().clamp(MIN_PROBABILITY, 1.0)
        factor, ones = (1 / clipped.sum(0)).numpy(), np.ones(clipped.shape[1], np.float32)
        for index, plane in enumerate(self.planes):
            part = clipped[index * len(self.lanes) : (index + 1) * len(self.lanes)]
            _pack(
                part.numpy(), factor, np.float32(0), self.values[plane + self.start :], self.lanes
            )
            _pack(
                part.log_().numpy(),
                ones,
                np.float32(-math.inf),
                self.unary[plane + self.start :],
                self.lanes,
            )

    def iterate(self, limit: float) -> None:
        """One mean-field iteration; afterwards probabilities of at most ``limit`` are 0."""
        v = self.appearance.vertices
        for index, plane in enumerate(self.planes):
            values, output = self._plane(self.values, plane), self._plane(self.values, self.spare)
            unary = self._plane(self.unary, index * self.size)
            if isinstance(self.smoothness, Stencil):
                self.smoothness.apply(output, unary, values, self.start, self.lanes)
            else:
                output[:] = unary
                self.smoothness.add(output, values, self.start, self.lattice, self.lanes)
            lattice = self.appearance.spread(values, self.start, self.lattice, self.lanes)
            self.planes[index], self.spare = self.spare, plane
            is_last = index == len(self.planes) - 1
            complete = np.array(self.planes if is_last else [], np.int64) + self.start
            start, scale = self.planes[index] + self.start, self.appearance.scale
            _finish(
                self.values,
                start,
                complete,
                np.float32(limit),
                lattice,
                v.corners,
                v.weights,
                v.around,
                scale,
                self.lanes,
            )

    def write(self, posterior: Tensor) -> None:
        """Write the probabilities to a contiguous (M, H, W) float32 tensor."""
        result = posterior.reshape(len(posterior), -1).numpy()
        for index, plane in enumerate(self.planes):
            first = index * len(self.lanes)
            _unpack(
                self.values[plane + self.start :],
                result[first : first + len(self.lanes)],
                self.lanes,
            )

    def _plane(self, planes: Floats, start: int) -> Floats:
        return planes[start : start + self.size]


def _choose_width(labels: int, vertices: int) -> int:
    """Number of labels in a row: the cheapest one among those whose lattice is not too large."""
    affordable = [width for width in _COST if width * vertices <= _MAX_LATTICE] or [min(_COST)]
    return min(affordable, key=lambda width: -(-labels // width) * _COST[width])


@compiled
def _finish(
    planes: Floats,
    start: int,
    complete: NDArray[np.int64],
    limit: np.float32,
    lattice: Floats,
    corners: NDArray[np.int32],
    weights: Floats,
    around: Lanes,
    scale: np.float32,
    lanes: Lanes,
) -> None:
    """Add the appearance message to the plane at ``start``, then take the softmax over the
    ``complete`` planes, if any.
    """
    points, is_large = corners.size // len(around), lattice.size > LARGE
    highest, mass = np.empty(_PIXELS_AT_ONCE, np.float32), np.empty(_PIXELS_AT_ONCE, np.float32)
    for first in range(0, points, _PIXELS_AT_ONCE):
        count = min(points - first, _PIXELS_AT_ONCE)
        for point in range(first, first + count):
            message = fill(np.float32(0.0), lanes)
            for corner in range(len(around)):
                entry = point * len(around) + corner
                if is_large:
                    prefetch(
                        lattice,
                        np.int64(item(corners, min(entry + AHEAD, corners.size - 1))) * len(lanes),
                    )
                vertex = load(lattice, np.int64(item(corners, entry)) * len(lanes), lanes)
                message = add_scaled(message, vertex, item(weights, entry))
            place = start + point * len(lanes)
            store(planes, place, add_scaled(load(planes, place, lanes), message, scale))
        if complete.size > 0:
            _take_softmax(planes, complete, first * len(lanes), count, limit, highest, mass, lanes)


@inlined
def _take_softmax(
    planes: Floats,
    starts: NDArray[np.int64],
    offset: int,
    count: int,
    limit: np.float32,
    highest: Floats,
    mass: Floats,
    lanes: Lanes,
) -> None:
    """Softmax over the labels of ``count`` pixels, step by step for all of them: a single pixel
    would have to wait.
    """
    for point in range(count):
        highest[point], mass[point] = -np.inf, 0
    for start in starts:
        for point in range(count):
            highest[point] = max(
                highest[point], largest(load(planes, start + offset + point * len(lanes), lanes))
            )
    for start in starts:
        for point in range(count):
            place = start + offset + point * len(lanes)
            row = exponential(add(load(planes, place, lanes), fill(-highest[point], lanes)))
            store(planes, place, row)
            mass[point] += total(row)
    for point in range(count):
        mass[point] = np.float32(1.0) / mass[point]
    for start in starts:
        for point in range(count):
            place = start + offset + point * len(lanes)
            store(
                planes, place, without_small(scaled(load(planes, place, lanes), mass[point]), limit)
            )


@compiled
def _pack(
    labels_first: NDArray[np.float32],
    factor: Floats,
    padding: np.float32,
    rows: Floats,
    lanes: Lanes,
) -> None:
    """From (labels, pixels), times a factor for each pixel, to one row of labels per pixel; rows
    are filled up.
    """
    labels, points = labels_first.shape
    # Numbers without sign need not be looked at for counting from the end, which would take longer
    # than to copy.
    width, block = np.uint64(len(lanes)), np.uint64(_PIXELS_AT_ONCE)
    for begin in range(np.uint64(0), np.uint64(points), block):
        end = min(np.uint64(points), begin + block)
        for label in range(np.uint64(labels)):
            for point in range(begin, end):
                rows[point * width + label] = labels_first[label, point] * factor[point]
        for label in range(np.uint64(labels), width):
            for point in range(begin, end):
                rows[point * width + label] = padding


@compiled
def _unpack(rows: Floats, labels_first: NDArray[np.float32], lanes: Lanes) -> None:
    """From one row of labels per pixel to (labels, pixels)."""
    labels, points = labels_first.shape
    width, block = np.uint64(len(lanes)), np.uint64(_PIXELS_AT_ONCE)  # without sign as above
    for begin in range(np.uint64(0), np.uint64(points), block):
        end = min(np.uint64(points), begin + block)
        for label in range(np.uint64(labels)):
            for point in range(begin, end):
                labels_first[label, point] = rows[point * width + label]
