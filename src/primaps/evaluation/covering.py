"""Segmentation covering: how well the regions of a segmentation cover those that people drew.

Arbelaez, Maire, Fowlkes, Malik: Contour Detection and Hierarchical Image Segmentation, TPAMI 2011,
section 3.2 (region covering).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from primaps.errors import ConfigError


def covering(segmentation: NDArray[Any], truths: Sequence[NDArray[Any]]) -> float:
    """Covering of the true regions by a segmentation, averaged over annotators.

    For one annotator: 1 / N * sum over R in G of |R| * max over R' in S of |R and R'| / |R or R'|,
    with N the number of pixels, G the annotator's regions and S those of the segmentation. Of a
    data set, take the mean over its images.

    Args:
        segmentation: (H, W) integer ids; all pixels of one id are one region, whatever the id,
            connected or not (see `connected_segments`).
        truths: One (H, W) array of integer ids per annotator, likewise.

    Returns:
        A fraction in (0, 1]; 1 if and only if the segmentation is the same partition as every
        annotator's.

    Raises:
        ConfigError: If there is no annotator, sizes differ, the image is empty, or an array is not
            of integers.
    """
    if not len(truths):
        raise ConfigError("Expected the segmentation of one or more annotators, but got none.")
    for array in (segmentation, *truths):
        _check(array)
        if array.shape != segmentation.shape:
            raise ConfigError(
                f"Expected segmentation and truth of one size, but got {segmentation.shape} and"
                f" {array.shape}. Segment at the size of the photograph."
            )
    regions = _indices(segmentation)
    return float(np.mean([_covering(regions, _indices(truth)) for truth in truths]))


def connected_segments(label_map: NDArray[Any]) -> NDArray[np.int32]:
    """Split a label map into its 4-connected components: neighbours in a row or column with equal
    labels belong together.

    No label is special: unassigned pixels (-1, 0, 255, ...) form components of their own like all
    others.

    Args:
        label_map: (H, W) integer ids.

    Returns:
        (H, W) int32 ids 0..n-1 without gaps.

    Raises:
        ConfigError: If the label map is not a non-empty (H, W) array of integers.
    """
    _check(label_map)
    pixels = np.arange(label_map.size).reshape(label_map.shape)
    across, down = label_map[:, 1:] == label_map[:, :-1], label_map[1:] == label_map[:-1]
    sources = np.concatenate([pixels[:, :-1][across], pixels[:-1][down]])
    targets = np.concatenate([pixels[:, 1:][across], pixels[1:][down]])
    edges = sparse.coo_matrix(
        (np.ones(len(sources), dtype=np.int8), (sources, targets)), shape=(label_map.size,) * 2
    )
    _, components = csgraph.connected_components(edges.tocsr(), directed=False)
    result: NDArray[np.int32] = components.reshape(label_map.shape).astype(np.int32)
    return result


def _check(array: NDArray[Any]) -> None:
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.integer):
        raise ConfigError(
            f"Expected a non-empty (H, W) array of integer ids, but got {array.shape}"
            f" {array.dtype}."
        )


def _indices(segmentation: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) region index of every pixel."""
    indices: NDArray[np.int64] = np.unique(segmentation, return_inverse=True)[1].ravel()
    return indices


def _covering(regions: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Covering of one annotator's regions, from region indices per pixel."""
    ones = np.ones(len(truth), dtype=np.int64)
    # as csr, the counts of equal pairs are added up
    overlaps = sparse.coo_matrix((ones, (truth, regions))).tocsr().tocoo()
    areas, true_areas = np.bincount(regions), np.bincount(truth)
    iou = overlaps.data / (true_areas[overlaps.row] + areas[overlaps.col] - overlaps.data)
    best = np.zeros(len(true_areas))
    np.maximum.at(best, overlaps.row, iou)
    return float((true_areas * best).sum() / len(truth))
