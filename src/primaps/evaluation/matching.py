"""Cluster assignment: which class each cluster stands for, by Hungarian matching on the confusion
table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from primaps.errors import ConfigError
from primaps.types import IGNORE_INDEX


def hungarian(confusion: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign clusters to classes so that the number of right pixels is largest (Kuhn 1955).

    With as many clusters as classes the assignment is one to one. With fewer clusters some classes
    stay without one. With more (overclustering), one cluster per class is matched one to one and
    every further cluster joins the class that is most frequent in it, as PriMaPs-EM is evaluated
    (Hahn et al., TMLR 2024).

    Args:
        confusion: (num_classes, num_clusters) pixel counts, rows = truth, without a column of
            unassigned pixels.

    Returns:
        (num_clusters,) int64 class id per cluster; IGNORE_INDEX for a further cluster without any
        labelled pixel.

    Raises:
        ConfigError: If the table is not a non-empty matrix of counts.
    """
    if confusion.ndim != 2 or 0 in confusion.shape or confusion.min() < 0:
        raise ConfigError(
            "Expected a (num_classes, num_clusters) table of counts, but got shape"
            f" {confusion.shape}."
        )
    cluster_to_class = np.where(
        confusion.any(axis=0), confusion.argmax(axis=0), IGNORE_INDEX
    ).astype(np.int64)
    classes, clusters = linear_sum_assignment(confusion, maximize=True)
    cluster_to_class[clusters] = classes
    return cluster_to_class
