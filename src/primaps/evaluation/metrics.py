"""Scores of label maps, all derived from one contingency table with rows = truth.

The order is: `confusion` counts classes against clusters (tables of batches add up), a cluster
assignment turns it into a table of classes against classes (`class_table`), and the scores are read
off that one.

No pixel with ground truth is ever left out of a score. A pixel that a label map leaves unassigned,
or whose cluster stands for no class, lies in an extra last column: it is an error of its true class
and a prediction of none. Unassigning a pixel hence never raises the accuracy nor the IoU of its
true class; it is worth less than the right guess, and a wrong guess would also have been a false
positive of another class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError, DatasetError
from primaps.types import IGNORE_INDEX


def confusion(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    num_classes: int,
    num_clusters: int,
    *,
    unassigned_column: bool = False,
) -> NDArray[np.int64]:
    """Count pixels by true class and predicted cluster. Tables of several images add up.

    Args:
        truth: Integer class ids, any shape; pixels with IGNORE_INDEX (255) are not counted.
        prediction: Integer cluster ids, same shape.
        num_classes: Classes are 0..num_classes-1.
        num_clusters: Clusters are 0..num_clusters-1.
        unassigned_column: Count labelled pixels whose prediction is IGNORE_INDEX in an extra last
            column. Without it such a pixel is an error, because leaving it out would change the
            score in silence.

    Returns:
        (num_classes, num_clusters) int64, or (num_classes, num_clusters + 1) with
        ``unassigned_column``.

    Raises:
        DatasetError: If a true class is out of range.
        ConfigError: If shapes differ, an array is not of integers, a predicted cluster is out of
            range, or there are more classes or clusters than ids below IGNORE_INDEX.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    _check_arrays(truth, prediction)
    if max(num_classes, num_clusters) > IGNORE_INDEX:
        raise ConfigError(
            f"Expected at most {IGNORE_INDEX} classes and clusters, but got {num_classes} and"
            f" {num_clusters}."
        )
    labelled = truth != IGNORE_INDEX
    rows = truth[labelled].astype(np.int64)
    columns = prediction[labelled].astype(np.int64)
    if rows.size and not (rows.min() >= 0 and rows.max() < num_classes):
        raise DatasetError(
            f"Expected true classes 0..{num_classes - 1} or {IGNORE_INDEX} (unlabelled), but got"
            f" ids from {rows.min()} to {rows.max()}. Check the number of classes and the labels."
        )
    known = (columns >= 0) & (columns < num_clusters)
    unassigned = (columns == IGNORE_INDEX) & unassigned_column
    if not (known | unassigned).all():
        raise ConfigError(
            f"Expected predicted clusters 0..{num_clusters - 1}, but got ids from {columns.min()}"
            f" to {columns.max()}. Check the number of clusters; unassigned pixels ({IGNORE_INDEX})"
            " are counted with unassigned_column=True."
        )
    width = num_clusters + unassigned_column
    columns[unassigned] = num_clusters
    counts = np.bincount(rows * width + columns, minlength=num_classes * width)
    return counts.astype(np.int64).reshape(num_classes, width)


def class_table(table: NDArray[np.int64], cluster_to_class: NDArray[np.int64]) -> NDArray[np.int64]:
    """Turn a table of classes against clusters into one of classes against classes.

    Args:
        table: (num_classes, num_clusters) counts, or (num_classes, num_clusters + 1) with a last
            column of unassigned pixels.
        cluster_to_class: (num_clusters,) class id per cluster; IGNORE_INDEX where a cluster stands
            for nothing.

    Returns:
        (num_classes, num_classes + 1) int64, rows = truth; the last column holds the pixels that
        got no class. Row sums are kept.

    Raises:
        ConfigError: If the assignment does not fit the table.
    """
    num_classes, width = table.shape
    if cluster_to_class.ndim != 1 or width - cluster_to_class.size not in (0, 1):
        raise ConfigError(
            f"Expected an assignment of {width} or {width - 1} clusters, but got shape"
            f" {cluster_to_class.shape}."
        )
    nothing = cluster_to_class == IGNORE_INDEX
    if not (nothing | ((cluster_to_class >= 0) & (cluster_to_class < num_classes))).all():
        raise ConfigError(
            f"Expected clusters to stand for classes 0..{num_classes - 1} or {IGNORE_INDEX}"
            f" (nothing), but got ids from {cluster_to_class.min()} to {cluster_to_class.max()}."
        )
    stands_for = np.full(width, num_classes, dtype=np.int64)
    stands_for[: cluster_to_class.size] = np.where(nothing, num_classes, cluster_to_class)
    result = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    np.add.at(result.T, stands_for, table.T)
    return result


def accuracy(table: NDArray[np.int64]) -> float:
    """Fraction of labelled pixels with the right class, in [0, 1]; NaN if there is no labelled
    pixel.

    Args:
        table: (num_classes, num_classes) or (num_classes, num_classes + 1) counts as `class_table`
            gives them.
    """
    total = int(table.sum())
    return float(np.trace(table) / total) if total else float("nan")


def per_class_iou(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union of every class: true positives / (true + predicted - true positives).

    Args:
        table: (num_classes, num_classes) or (num_classes, num_classes + 1) counts as `class_table`
            gives them.

    Returns:
        (num_classes,) float64 in [0, 1]; NaN only for a class absent from truth and prediction. A
        class that is predicted but absent from the truth has 0.
    """
    hits = np.diagonal(table)
    union = table.sum(axis=1) + table.sum(axis=0)[: len(table)] - hits
    iou = np.full(len(table), np.nan)
    np.divide(hits, union, out=iou, where=union > 0)
    return iou


def mean_iou(iou: NDArray[np.float64]) -> float:
    """Mean of per-class IoU without the NaN classes, in [0, 1]; NaN if all are NaN."""
    present = iou[~np.isnan(iou)]
    return float(present.mean()) if present.size else float("nan")


def _check_arrays(truth: NDArray[Any], prediction: NDArray[Any]) -> None:
    if truth.shape != prediction.shape:
        raise ConfigError(
            f"Expected truth and prediction of one shape, but got {truth.shape} and"
            f" {prediction.shape}. Predict at the size of the truth."
        )
    for name, array in (("truth", truth), ("prediction", prediction)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ConfigError(f"Expected {name} to hold integer ids, but got {array.dtype}.")
