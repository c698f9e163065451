"""Masks as run lengths, in the three ways that formats know, there and back.

COCO counts down the columns of the whole image, CVAT along the rows of a box, Label Studio packs
the bytes of an RGBA picture into a stream of bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.regions import Region

_RUN_BITS: Final = np.array([3, 4, 8, 16])
"""Bits for a length less one, of which every run of a brush mask names the least that will do."""
_LONGEST_RUN: Final = 1 << 16
_HALF: Final = 128
"""Alpha from which on a pixel of a brush stroke counts; its edges are smoothed."""


def coco_rle(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """A region as COCO's compressed RLE of the whole image (pycocotools, ``maskApi.h``).

    Args:
        region: The region.
        size: (H, W) of the image.

    Returns:
        ``size`` ([H, W]) and ``counts`` (str).
    """
    from pycocotools import mask as coco

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
    packed = coco.frPyObjects({"counts": counts.tolist(), "size": [height, width]}, *size)
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


def mask_of_rows(counts: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The inverse of `row_counts`.

    Args:
        counts: Lengths of the runs.
        size: (h, w) of the box.

    Raises:
        ValueError: If the lengths do not add up to the box.
    """
    lengths = np.asarray(counts, dtype=np.int64)
    if (lengths < 0).any() or lengths.sum() != size[0] * size[1]:
        raise ValueError(f"run lengths of {lengths.sum()} pixels for a box of {size[0] * size[1]}")
    inside = np.arange(len(lengths)) % 2 == 1
    return np.repeat(inside, lengths).reshape(size)


def coco_mask(segmentation: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask from what COCO calls a segmentation: RLE, compressed or not, or polygons.

    Args:
        segmentation: ``{"size": [H, W], "counts": str or list}``, or a list of polygons, each a
            list of x, y, x, y, ... in pixels, which pycocotools fills.
        size: (H, W) of the image.

    Raises:
        ValueError: If it is none of these, or of another size.
    """
    height, width = size
    if isinstance(segmentation, Mapping):
        if list(segmentation.get("size", ())) != [height, width]:
            raise ValueError(f"a mask of size {segmentation.get('size')}")
        counts = segmentation.get("counts")
        lengths = counts if isinstance(counts, list) else _unpacked_counts(str(counts))
        return mask_of_rows(lengths, (width, height)).T
    from pycocotools import mask as coco

    rings = [[float(value) for value in ring] for ring in segmentation]
    if not rings or any(len(ring) < 6 or len(ring) % 2 for ring in rings):
        raise ValueError("a polygon of less than three corners")
    return np.asarray(coco.decode(coco.merge(coco.frPyObjects(rings, height, width))), dtype=bool)


def _unpacked_counts(text: str) -> list[int]:
    """Run lengths of a compressed RLE: five bits a character, the lowest first, a sixth one if more
    follow; from the fourth on a length is told by its difference to the one before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


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


def mask_of_brush(packed: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The inverse of `brush_rle`; Label Studio's editor also packs bytes one by one.

    Args:
        packed: The packed bytes.
        size: (H, W) of the image.

    Returns:
        (H, W) bool; where the brush covers half of a pixel or more.

    Raises:
        ValueError: If it is damaged, or of an image of another size.
    """
    bits = _BitReader(bytes(packed))
    total, width = bits.read(32), bits.read(5) + 1
    widths = [bits.read(4) + 1 for _ in range(4)]
    if total != 4 * size[0] * size[1] or width != 8:
        raise ValueError(f"a brush mask of {total} bytes of {width} bits")
    pixels = np.empty(total, dtype=np.uint8)
    place = 0
    while place < total:
        is_run = bits.read(1)
        end = place + bits.read(widths[bits.read(2)]) + 1
        if end > total:
            raise ValueError("a brush mask that is longer than it says")
        pixels[place:end] = bits.read(8) if is_run else [bits.read(8) for _ in range(end - place)]
        place = end
    return pixels.reshape(*size, 4)[..., 3] >= _HALF


class _BitReader:
    """Numbers out of a stream of bits, the highest bit first.

    Args:
        data: The stream.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def read(self, count: int) -> int:
        """The next ``count`` bits, at most 32, as a number.

        Raises:
            ValueError: If there are no more.
        """
        start, end = self._place, self._place + count
        if end > 8 * len(self._data):
            raise ValueError("a brush mask that is cut short")
        self._place = end
        window = int.from_bytes(self._data[start // 8 : -(-end // 8)], "big")
        return (window >> (-end % 8)) & ((1 << count) - 1)


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
