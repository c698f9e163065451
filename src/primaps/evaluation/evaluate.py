"""Unsupervised evaluation of label maps over a whole data set: one matching, one table, no cached
predictions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.compute.group import Alone, Group
from primaps.errors import ConfigError, DatasetError
from primaps.evaluation.matching import hungarian
from primaps.evaluation.metrics import accuracy, class_table, confusion, mean_iou, per_class_iou
from primaps.types import ClusterAssignment, EvaluationResult


def evaluate_label_maps(
    pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]],
    num_clusters: int,
    class_names: tuple[str, ...],
    group: Group | None = None,
    *,
    cluster_to_class: NDArray[np.int64] | None = None,
) -> EvaluationResult:
    """Score label maps against ground truth.

    Pixels are counted over all images into one table; clusters are assigned to classes once, by
    Hungarian matching on that table; mIoU is the mean over classes of the data set's IoU, not a
    mean over images. Only the table is kept, so ``pairs`` may be a generator over any number of
    images.

    Args:
        pairs: Label map (H, W) of cluster ids and truth (H, W) of class ids per image. Pixels whose
            truth is IGNORE_INDEX are not scored; pixels whose cluster is IGNORE_INDEX are errors.
        num_clusters: Number of clusters.
        class_names: Names by class id, all different.
        group: Processes that each have some of the pairs: their tables are added, and all get the
            scores; errors number the pairs of one process. None = this one alone.
        cluster_to_class: As for `score_table`.

    Returns:
        The scores. ``confusion`` has the pixels with a cluster; accuracy and IoU also count those
        without one.

    Raises:
        DatasetError: If there are no pairs or no labelled pixels, sizes differ, or a true class is
            out of range.
        ConfigError: If a cluster is out of range or class names repeat.
    """
    _check_names(class_names)
    table, num_images = _count(pairs, len(class_names), num_clusters)
    parts = (group or Alone()).exchange(
        {"table": torch.from_numpy(table), "images": torch.tensor(num_images)}
    )
    total: NDArray[np.int64] = sum((part["table"] for part in parts[1:]), parts[0]["table"]).numpy()
    num_images = sum(int(part["images"]) for part in parts)
    return score_table(total, class_names, num_images, cluster_to_class=cluster_to_class)


def score_table(
    table: NDArray[np.int64],
    class_names: tuple[str, ...],
    num_images: int,
    *,
    cluster_to_class: NDArray[np.int64] | None = None,
) -> EvaluationResult:
    """Scores of a whole data set from its table of pixel counts.

    Args:
        table: (num_classes, num_clusters + 1) counts, rows = truth, the last column = pixels
            without a cluster.
        class_names: Names by class id, all different.
        num_images: How many images were counted.
        cluster_to_class: (num_clusters,) class id per cluster, where it is known (names, a
            supervised classifier); None = Hungarian matching on the table.

    Raises:
        DatasetError: If there are no images or no labelled pixels.
        ConfigError: If class names repeat.
    """
    _check_names(class_names)
    if num_images == 0:
        raise DatasetError("Expected one or more images to evaluate, but got none.")
    if not table.any():
        raise DatasetError(
            f"Expected labelled pixels, but all pixels of the {num_images} images are unlabelled."
        )
    assigned = np.ascontiguousarray(table[:, :-1])
    assignment = hungarian(assigned) if cluster_to_class is None else cluster_to_class
    classes = class_table(table, assignment)
    iou = per_class_iou(classes)
    return EvaluationResult(
        accuracy=accuracy(classes),
        miou=mean_iou(iou),
        per_class_iou=dict(zip(class_names, iou.tolist(), strict=True)),
        assignment=ClusterAssignment(assignment, tuple(class_names)),
        confusion=assigned,
        num_images=num_images,
    )


def _check_names(class_names: tuple[str, ...]) -> None:
    repeated = [name for name, count in Counter(class_names).items() if count > 1]
    if repeated or not class_names:
        raise ConfigError(
            f"Expected different class names, one or more, but got {len(class_names)} with"
            f" {repeated} repeated."
        )


def _count(
    pairs: Iterable[tuple[NDArray[Any], NDArray[Any]]], num_classes: int, num_clusters: int
) -> tuple[NDArray[np.int64], int]:
    """(num_classes, num_clusters + 1) counts over all images, and the number of images."""
    table = np.zeros((num_classes, num_clusters + 1), dtype=np.int64)
    num_images = 0
    for label_map, truth in pairs:
        if label_map.shape != truth.shape:
            raise DatasetError(
                f"Expected label map and truth of one size, but image {num_images} has"
                f" {label_map.shape} and {truth.shape}. Predict at the size of the truth."
            )
        table += confusion(truth, label_map, num_classes, num_clusters, unassigned_column=True)
        num_images += 1
    return table, num_images
