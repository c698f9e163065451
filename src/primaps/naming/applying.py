"""From cluster ids to class ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primaps.types import IGNORE_INDEX, ClassTable


def apply_classes(
    label_map: NDArray[np.integer[Any]],
    table: ClassTable,
    proposals: NDArray[np.integer[Any]] | None = None,
    corrected: Mapping[int, int] | None = None,
) -> NDArray[np.uint8]:
    """Class id of every pixel.

    Args:
        label_map: (H, W) cluster ids, 255 where ignored.
        table: The classes.
        proposals: (H, W) ids of proposals, 0 = unassigned; needed by ``corrected`` only.
        corrected: Class id by id of a proposal: what a person said of single ones.

    Returns:
        (H, W) uint8; 255 where a class is ignored, where a cluster belongs to no class, and where
        the label map says so.
    """
    named: NDArray[np.uint8] = table.cluster_to_class().astype(np.uint8)[label_map]
    if proposals is not None and corrected:
        ignored = {each.id for each in table.classes if each.ignore}
        by_proposal = np.full(int(proposals.max()) + 1, -1, dtype=np.int64)
        for proposal, class_id in corrected.items():
            by_proposal[proposal] = IGNORE_INDEX if class_id in ignored else class_id
        said = by_proposal[proposals]
        named = np.where(said < 0, named, said).astype(np.uint8)
    return named


def corrected_pixels(
    pairs: NDArray[np.int64], table: ClassTable, corrected: Mapping[int, int]
) -> NDArray[np.int64]:
    """Pixels of each class of one image, as `apply_classes` would paint them.

    Args:
        pairs: (proposals + 1, 256) pixels by proposal, 0 = unassigned, and cluster.
        table: The classes.
        corrected: Class id by id of a proposal.

    Returns:
        (256,) by class id; 255 holds ignored ones.
    """
    ignored = {each.id for each in table.classes if each.ignore}
    counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
    rest = pairs.copy()
    for proposal, class_id in corrected.items():
        counts[IGNORE_INDEX if class_id in ignored else class_id] += rest[proposal].sum()
        rest[proposal] = 0
    np.add.at(counts, table.cluster_to_class(), rest.sum(axis=0))
    return counts


def class_pixels(pixels: NDArray[np.int64], table: ClassTable) -> NDArray[np.int64]:
    """Pixels of each class from those of each cluster.

    Args:
        pixels: (N, K) per image and cluster.
        table: The classes.

    Returns:
        (N, 256) per image and class id; column 255 holds ignored ones.
    """
    counts = np.zeros((len(pixels), IGNORE_INDEX + 1), dtype=np.int64)
    for cluster, class_id in enumerate(table.cluster_to_class()[: pixels.shape[1]]):
        counts[:, class_id] += pixels[:, cluster]
    return counts
