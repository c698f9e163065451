"""Masks as run lengths, in the three ways that formats know.

COCO counts down the columns of the whole image, CVAT along the rows of a box, Label Studio packs
the bytes of an RGBA picture into a stream of bits.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.regions import Region

_RUN_BITS: Final = np.array([3, 4, 8, 16])
"""Bits for a length less one, of which every run of a brush mask names the least that will do."""
_LONGEST_RUN: Final = 1 << 16


def coco_rle(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """A region as COCO's compressed RLE of the whole image (pycocotools, ``maskApi.h``).

    Args:
        region: The region.
        size: (H, W) of the image.

    Returns:
        ``size`` ([H, W]) and ``counts`` (str).
    """
    from pycocotools import mask as coco_mask

    height, width = size
    columns = np.pad(region.mask.T, ((0, 0), (1, 1)))
    changes = columns[:, 1:] != columns[:, :-1]
    column, row = np.nonzero(changes)
    bounds = (region.left + column) * height + region.top + row
    # a run that reaches the foot of a column goes on at the head of the next one
    joined = bounds[1:] == bounds[:-1]
    bounds = bounds[~(np.append(joined, False) | np.insert(joined, 0, False))]
    bounds = bounds[bounds < height * width]
    counts = np.diff(np.concatenate([[0], bounds, [height * width]]))
    packed = coco_mask.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, *size)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def row_counts(mask: NDArray[np.bool_]) -> list[int]:
    """Lengths of alternating runs along the rows of a mask, pixels outside first (CVAT, ``mask`` in
    CVAT for images 1.1).

    Args:
        mask: (h, w) bool, the box alone.
    """
    flat = mask.ravel()
    bounds = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts: list[int] = np.diff(np.concatenate([[0], bounds, [flat.size]])).tolist()
    return [0, *counts] if flat[0] else counts


def brush_rle(region: Region, size: tuple[int, int]) -> list[int]:
    """A region as the ``rle`` of Label Studio's brush labels: the RGBA bytes of the whole image,
    255 inside, packed in bits (rle-pack of thi.ng/umbrella).

    Head: number of bytes (32 bits), bits per byte less one (5), four widths less one (4 each). Then
    runs: 1 (a run of equal bytes), index of the width (2), length less one (that width), the byte.

    Args:
        region: The region.
        size: (H, W) of the image.

    Returns:
        The packed bytes, as whole numbers.
    """
    mask = np.zeros(size, dtype=bool)
    height, width = region.mask.shape
    mask[region.top : region.top + height, region.left : region.left + width] = region.mask
    flat = mask.ravel()
    bounds = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]])
    lengths, values = _split_runs(4 * np.diff(bounds), flat[bounds[:-1]])
    index = np.searchsorted(1 << _RUN_BITS, lengths)
    bits = _RUN_BITS[index]
    # 1 + 2 + at most 16 + 8 bits of a run
    words = ((((4 + index) << bits) | (lengths - 1)) << 8) | np.where(values, 255, 0)
    head = [_bits([flat.size * 4], [32]), _bits([7], [5]), _bits(_RUN_BITS - 1, [4] * 4)]
    stream = np.concatenate([*head, _bits(words, bits + 11)])
    packed: list[int] = np.packbits(stream).tolist()
    return packed


def _split_runs(
    lengths: NDArray[np.int64], values: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Runs of at most `_LONGEST_RUN` bytes."""
    pieces = -(-lengths // _LONGEST_RUN)
    split = np.full(int(pieces.sum()), _LONGEST_RUN)
    split[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST_RUN
    return split, np.repeat(values, pieces)


def _bits(values: Any, widths: Any) -> NDArray[np.uint8]:
    """Numbers one after the other as bits (0 or 1), the highest first, each of its own width."""
    widths = np.asarray(widths)
    aligned = np.asarray(values, dtype=np.uint32) << (32 - widths).astype(np.uint32)
    every = np.unpackbits(aligned.astype(">u4").view(np.uint8)).reshape(-1, 32)
    taken: NDArray[np.uint8] = every[np.arange(32) < widths[:, None]]
    return taken
