"""A proposal in a few hundred bytes: enough to find it again when the proposals are made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from primaps.errors import ConfigError

GRID: Final = 64
"""Longest side of the grid that a region is sampled on, in samples."""


@dataclass(frozen=True)
class Region:
    """A set of pixels, sampled on a grid over its bounding box.

    Attributes:
        size: (height, width) of the image in pixels.
        box: (left, top, width, height) of the bounding box in pixels.
        area: In pixels.
        runs: Lengths of the runs outside, inside, outside, ... in the rows of the grid, one row
            after the other. The grid has min(64, side of the box) samples a side.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]
    area: int
    runs: tuple[int, ...]

    def samples(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns, in pixels of the image, of the samples inside."""
        left, top, width, height = self.box
        rows, columns = _grid(top, height), _grid(left, width)
        inside = np.zeros(len(rows) * len(columns), dtype=bool)
        end = np.cumsum(self.runs)
        for start, stop in zip(end[0::2], end[1::2], strict=False):
            inside[start:stop] = True
        row, column = np.nonzero(inside.reshape(len(rows), len(columns)))
        return rows[row], columns[column]


def _grid(start: int, length: int) -> NDArray[np.intp]:
    """Centres of at most `GRID` equal parts of an interval of pixels."""
    count = min(GRID, length)
    steps = np.floor((np.arange(count) + 0.5) * (length / count)).astype(np.intp)
    return np.asarray(start + steps, dtype=np.intp)


def regions_of(
    label_image: NDArray[np.integer[Any]], numbers: Collection[int]
) -> dict[int, tuple[Region, tuple[int, int]]]:
    """The regions of some ids, and of each the (x, y) of a pixel inside, the nearest to its centre.

    Args:
        label_image: (H, W) integer ids, 0 = unassigned.
        numbers: The ids.

    Raises:
        ConfigError: If no pixel has one of the ids.
    """
    boxes = find_objects(label_image, max_label=max(1, int(label_image.max())))
    found = {}
    for number in numbers:
        box = boxes[number - 1] if 1 <= number <= len(boxes) else None
        if box is None:
            raise ConfigError(
                f"Expected a proposal that exists, but no pixel belongs to proposal {number}. There"
                f" are proposals 1..{int(label_image.max())}."
            )
        size = (label_image.shape[0], label_image.shape[1])
        found[number] = _region(label_image[box] == number, size, box[0].start, box[1].start)
    return found


def _region(
    mask: NDArray[np.bool_], size: tuple[int, int], top: int, left: int
) -> tuple[Region, tuple[int, int]]:
    """Of a mask within its bounding box."""
    height, width = mask.shape
    grid = mask[np.ix_(_grid(0, height), _grid(0, width))].ravel()
    changes = np.flatnonzero(np.diff(grid)) + 1
    runs = np.diff([0, *changes, grid.size])
    # the first run is outside, if need be of length 0
    listed = [0, *runs.tolist()] if grid[0] else runs.tolist()
    y, x = np.nonzero(mask)
    nearest = int(np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2))
    region = Region(size, (left, top, width, height), len(y), tuple(listed))
    return region, (left + int(x[nearest]), top + int(y[nearest]))


def best_overlap(region: Region, label_image: NDArray[np.integer[Any]]) -> tuple[int, float]:
    """The id, other than 0, that overlaps a region most, and its intersection over union.

    Args:
        region: From the same photograph.
        label_image: (H, W) integer ids.

    Returns:
        (0, 0.0) if nothing overlaps, or the sizes differ.
    """
    if label_image.shape != region.size:
        return 0, 0.0
    rows, columns = region.samples()
    if not len(rows):
        return 0, 0.0
    ids, counts = np.unique(label_image[rows, columns], return_counts=True)
    best = (0, 0.0)
    for number, count in zip(ids.tolist(), counts.tolist(), strict=True):
        if number == 0:
            continue
        shared = region.area * count / len(rows)
        union = region.area + int(np.count_nonzero(label_image == number)) - shared
        best = max(best, (number, shared / union), key=lambda each: each[1])
    return best


def map_checksum(label_image: NDArray[np.integer[Any]]) -> str:
    """Changes when any id does; the same for every dtype.

    Args:
        label_image: (H, W) ids 0..65535.
    """
    digest = hashlib.sha256(f"{label_image.shape[0]}x{label_image.shape[1]}:".encode("ascii"))
    digest.update(np.ascontiguousarray(label_image, dtype="<u2").tobytes())
    return digest.hexdigest()[:16]


def region_from(values: Any) -> Region:
    """From what `region_record` gives.

    Raises:
        ConfigError: If it is something else.
    """
    keys = ("size", "box", "area", "runs")
    try:
        size, box, area, runs = (values[key] for key in keys)
        height, width = _numbers(size, 2)
        left, top, across, down = _numbers(box, 4)
        (pixels,) = _numbers([area], 1)
        found = Region((height, width), (left, top, across, down), pixels, _numbers(runs))
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected a region with {', '.join(keys)}, but got {values!r}."
        ) from error
    fits = left + across <= width and top + down <= height
    if not fits or sum(found.runs) != min(GRID, across) * min(GRID, down) or not pixels:
        raise ConfigError(f"Expected a region whose figures agree, but got {values!r}.")
    return found


def _numbers(values: Sequence[Any], count: int | None = None) -> tuple[int, ...]:
    if (
        not isinstance(values, list)
        or (count is not None and len(values) != count)
        or not all(isinstance(each, int) and each >= 0 for each in values)
    ):
        raise ValueError(values)
    return tuple(values)


def region_record(region: Region) -> dict[str, Any]:
    """JSON values."""
    return {
        "size": list(region.size),
        "box": list(region.box),
        "area": region.area,
        "runs": list(region.runs),
    }
