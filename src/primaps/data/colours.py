"""Display colours of classes that have none of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_colours(num_classes: int) -> NDArray[np.uint8]:
    """The PASCAL VOC colour map: the bits of the class id spread over red, green and blue.

    Args:
        num_classes: Up to 256.

    Returns:
        (num_classes, 3) uint8 RGB, all different.

    Examples:
        >>> class_colours(4).tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    ids = np.arange(num_classes)
    colours = np.zeros((num_classes, 3), dtype=np.uint8)
    for bit in range(8):
        channel, significance = bit % 3, 7 - bit // 3
        colours[:, channel] |= (((ids >> bit) & 1) << significance).astype(np.uint8)
    return colours
