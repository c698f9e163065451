"""Mask proposals where pixels of the photograph hold no data."""

from __future__ import annotations

import dataclasses

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from primaps.types import MaskProposals


def without_ignored(proposals: MaskProposals, ignored: NDArray[np.bool_] | None) -> MaskProposals:
    """Proposals without the pixels that hold no data; those that lose all of them are left out.

    Args:
        proposals: At the size of the backbone's input.
        ignored: (H, W) bool pixels of the photograph, of any size; None = all hold data.
    """
    if ignored is None:
        return proposals
    height, width = proposals.label_image.shape
    mask = PIL.Image.fromarray(ignored.astype(np.uint8) * 255)
    reduced = np.asarray(mask.resize((width, height), PIL.Image.Resampling.BOX)) >= 128
    labels = np.where(reduced, 0, proposals.label_image)
    left = np.unique(labels[labels > 0])
    table = np.zeros(proposals.num_masks + 1, dtype=np.int32)
    table[left] = np.arange(1, len(left) + 1)
    return dataclasses.replace(
        proposals, label_image=table[labels], scores=proposals.scores[left - 1]
    )
