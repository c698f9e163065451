"""The method as a reader of the paper would write it, for one image, in numpy: a full SVD in every
round, windows that are sorted. What the tests compare with, however directions are found.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Plain:
    """What `decomposition` finds, one entry per proposal."""

    similarity: list[np.ndarray] = field(default_factory=list)
    anchors: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    guards: list[str] = field(default_factory=list)


def decomposition(features, threshold, *, official=False, stop_fraction=0.95):
    """(C, h, w) numpy features to proposals; ``official``: the anchors of the official code."""
    tokens = features.reshape(len(features), -1).T.astype(np.float64)
    norms = np.linalg.norm(tokens, axis=1)
    free, total = norms > 0, (norms > 0).sum()
    norms[norms == 0] = 1.0
    found = Plain(guards=[] if free.all() else ["zero_tokens"])

    def members(anchor):
        cosines = np.where(free, tokens @ tokens[anchor] / (norms * norms[anchor]), 0.0)
        return np.where(cosines >= threshold * cosines.max(), cosines, 0.0).clip(0)

    while total - free.sum() < stop_fraction * total:
        rows = tokens[free] - tokens[free].mean(axis=0)
        direction = np.linalg.svd(rows, full_matrices=True)[2][0]
        side = rows[0] @ direction if len(rows) >= len(direction) else direction[0]
        if (side >= 0) != (min(rows.shape) >= 60):  # the sign that torch.pca_lowrank ends up with
            direction = -direction
        alignment = tokens @ direction / norms
        anchor = strongest = int(np.where(free, np.abs(alignment), -1.0).argmax())
        if official:
            anchor = int(np.where(free, alignment, 0.0).argmax())
            found.guards += [] if free[anchor] else ["anchor_among_used"]
        if not members(anchor).any():
            found.guards.append("anchor_without_tokens")
            anchor = strongest
        taken = members(anchor)
        found.similarity.append((taken / taken.max()).reshape(features.shape[1:]))
        found.anchors.append(anchor)
        found.scores.append(taken[taken > 0].mean())
        free &= taken <= 0
    return found


def soft_scores(similarity, gain=10.0):
    """(K, h, w) masks to (K + 1, h, w) log-probabilities, and whether the median erased all."""
    height, width = similarity.shape[1:]
    padded = similarity
    for axis, side in ((1, height), (2, width)):
        border = [(1, 1) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(padded, border, mode="reflect" if side > 1 else "edge")
    windows = [
        padded[:, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    masks = (np.median(windows, axis=0) * gain).clip(0, 1)
    erased = len(similarity) > 0 and not masks.any()
    if erased:
        masks = (similarity * gain).clip(0, 1)
    level = masks[masks > 0].mean() if masks.any() else 1.0
    maps = np.concatenate([(level - masks.sum(axis=0)).clip(0, 1)[None], masks])
    return maps - np.log(np.exp(maps).sum(axis=0)), erased
