"""Agreement of two label images whose ids have nothing to do with each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from primaps.errors import ConfigError


def matched_iou(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Mean IoU of two label images under the best one-to-one matching of their labels. Symmetric.

    Every id is a label, the one of unassigned pixels included. Labels are matched so that the sum
    of pairwise intersections over union is largest; the sum is divided by the larger number of
    labels, so that surplus labels count as 0.

    Args:
        a: (H, W) integer ids.
        b: (H, W) integer ids.

    Returns:
        A fraction in (0, 1]; 1 if and only if the two are the same partition of the image.

    Raises:
        ConfigError: If the shapes differ or the images are empty.
    """
    if a.shape != b.shape or a.size == 0:
        raise ConfigError(
            f"Expected two label images of one size, not empty, but got shapes {a.shape} and"
            f" {b.shape}."
        )
    ids_a, index_a = np.unique(a.ravel(), return_inverse=True)
    ids_b, index_b = np.unique(b.ravel(), return_inverse=True)
    pairs = np.bincount(index_a * len(ids_b) + index_b, minlength=len(ids_a) * len(ids_b)).reshape(
        len(ids_a), len(ids_b)
    )
    iou = pairs / (pairs.sum(axis=1, keepdims=True) + pairs.sum(axis=0, keepdims=True) - pairs)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    return float(iou[rows, columns].sum() / max(iou.shape))
