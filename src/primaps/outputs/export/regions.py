"""Connected regions of a label map: pixels of one class that hang together by their edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from primaps.types import IGNORE_INDEX


@dataclass(frozen=True)
class Region:
    """Some pixels of one class, cut out by their bounding box.

    Attributes:
        class_id: 0..254.
        top: First row of the box in the image.
        left: First column likewise.
        mask: (h, w) bool; touches all four sides of the box.
    """

    class_id: int
    top: int
    left: int
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def box(self) -> list[int]:
        """x, y, width, height in pixels."""
        height, width = self.mask.shape
        return [self.left, self.top, width, height]


def connected_regions(label_map: NDArray[np.uint8]) -> Iterator[Region]:
    """Every connected region of every class, by class id, then from top to bottom.

    Pixels hang together by a common edge; those that meet at a corner only do not.

    Args:
        label_map: (H, W) uint8 class ids; 255 is no class.
    """
    for whole in class_regions(label_map):
        numbered, _ = ndimage.label(whole.mask)
        for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
            mask = numbered[rows, columns] == number
            yield Region(whole.class_id, whole.top + rows.start, whole.left + columns.start, mask)


def class_regions(label_map: NDArray[np.uint8]) -> Iterator[Region]:
    """All pixels of every class that occurs, by ascending class id.

    Args:
        label_map: (H, W) uint8 class ids; 255 is no class.
    """
    boxes = ndimage.find_objects(np.where(label_map == IGNORE_INDEX, 0, label_map + np.int32(1)))
    for class_id, box in enumerate(boxes):
        if box is not None:
            rows, columns = box
            yield Region(class_id, rows.start, columns.start, label_map[box] == class_id)


def without_small(label_map: NDArray[np.uint8], min_area: int) -> NDArray[np.uint8]:
    """A label map in which regions with fewer than ``min_area`` pixels are unlabelled (255).

    Args:
        label_map: (H, W) uint8 class ids; 255 is no class.
        min_area: In pixels; up to 1 changes nothing.
    """
    if min_area <= 1:
        return label_map
    kept = label_map.copy()
    for whole in class_regions(label_map):
        numbered, _ = ndimage.label(whole.mask)
        small = np.bincount(numbered.ravel()) < min_area
        small[0] = False
        height, width = whole.mask.shape
        box = kept[whole.top : whole.top + height, whole.left : whole.left + width]
        box[small[numbered]] = IGNORE_INDEX
    return kept
