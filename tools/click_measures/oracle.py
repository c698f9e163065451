"""A simulated person: names every proposal that is shown by the label most of its pixels have."""

from __future__ import annotations

from typing import Final

import numpy as np
from class_measures.photographs import Photographs

from primaps.outputs.visualize import resize_labels
from primaps.pipeline.stored_proposals import StoredProposals
from primaps.types import IGNORE_INDEX

NOTHING: Final = IGNORE_INDEX
"""What the person says of proposals without any labelled pixel."""


def majority_labels(images: Photographs, stored: StoredProposals) -> list[int]:
    """(M) class id of every proposal: the most frequent one among its labelled pixels, the smallest
    id on ties.

    Args:
        images: The photographs, with labels.
        stored: Their proposals.
    """
    counts: dict[str, np.ndarray] = {}
    for name, truth in zip(images.names, images.truths, strict=True):
        proposals = resize_labels(
            images.store.proposals(name).numpy(), (truth.shape[0], truth.shape[1])
        )
        labelled, width = truth != IGNORE_INDEX, len(images.class_names)
        pairs = proposals[labelled].astype(np.int64) * width + truth[labelled]
        rows = int(images.store.proposals(name).max()) + 1
        counts[name] = np.bincount(pairs, minlength=rows * width).reshape(rows, width)
    found = []
    for row in range(len(stored.unit)):
        name, number = stored.name(row)
        own = counts[name][number]
        found.append(int(own.argmax()) if own.any() else NOTHING)
    return found
