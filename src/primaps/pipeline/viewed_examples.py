"""What proposals say of clusters, and regions that show what a cluster is: the most and the least
typical ones, and those that the model is least certain of.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from primaps.pipeline.stored_proposals import StoredProposals
from primaps.pipeline.viewed_images import ViewedImage
from primaps.prototypes.certainty import certainty

EXAMPLES: Final = 6
"""Of a cluster and kind, at most."""

_DIGITS: Final = 4

Region = tuple[int, int | None]
"""Number of an image, and of a proposal in it; None = all pixels of the cluster."""


def cluster_facts(
    stored: StoredProposals, logits: Tensor, images: Sequence[int]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`ClusterFacts`, and `ClusterExamples` of every cluster.

    Args:
        stored: M proposals.
        logits: (M, K) float32 logits of the model for each.
        images: Number by which the viewer knows each image of ``stored``.

    Returns:
        Both, JSON-ready; clusters without proposals have no examples.
    """
    number = logits.shape[1]
    owners = logits.max(1).indices
    sums = torch.zeros(number, stored.unit.shape[1], dtype=torch.float64)
    sums.index_add_(0, owners, stored.unit.double())
    typical = (stored.unit * F.normalize(sums, dim=1).float()[owners]).sum(1).numpy()
    certain = certainty(logits.T[..., None])[:, 0].numpy() if number > 1 else np.ones(len(logits))
    keys: list[Region] = [
        (images[image], proposal)
        for image, proposal in zip(stored.image.tolist(), stored.ids.tolist(), strict=True)
    ]
    members = [np.flatnonzero((owners == cluster).numpy()) for cluster in range(number)]
    examples = [
        _examples([keys[row] for row in rows], typical[rows], certain[rows]) for rows in members
    ]
    gram = (sums @ sums.T).numpy().astype("<f4")
    facts = {
        "gram": base64.b64encode(gram.tobytes()).decode("ascii"),
        "counts": [len(rows) for rows in members],
    }
    return facts, examples


def share_examples(images: Sequence[ViewedImage], cluster: int) -> dict[str, Any]:
    """`ClusterExamples` of a cluster of which no proposals are known: photographs by its share in
    them.
    """
    rows = [row for row, image in enumerate(images) if image.clusters.get(cluster)]
    shares = [images[row].clusters[cluster] / sum(images[row].clusters.values()) for row in rows]
    found = _examples([(row, None) for row in rows], np.array(shares), None)
    known = [
        (row, mean) for row in rows if (mean := _certainty_in(images[row], cluster)) is not None
    ]
    keys: list[Region] = [(row, None) for row, _ in known]
    certain = np.array([mean for _, mean in known])
    return {**found, "uncertain": _entries(keys, certain, _ranked(certain))}


def _certainty_in(image: ViewedImage, cluster: int) -> float | None:
    """Mean certainty of a cluster's tokens in an image."""
    if image.certainty is None or not image.certainty.tokens.get(cluster):
        return None
    return image.certainty.sums[cluster] / image.certainty.tokens[cluster]


def _examples(
    keys: Sequence[Region],
    typical: NDArray[np.floating[Any]],
    certain: NDArray[np.floating[Any]] | None,
) -> dict[str, Any]:
    best = _spread(keys, _ranked(-typical))
    rest = [row for row in _ranked(typical) if row not in set(best)]
    uncertain = [] if certain is None else _entries(keys, certain, _ranked(certain))
    return {
        "best": _listed(keys, typical, best),
        "worst": _entries(keys, typical, rest),
        "uncertain": uncertain,
    }


def _ranked(values: NDArray[np.floating[Any]]) -> list[int]:
    ranked: list[int] = np.argsort(values, kind="stable").tolist()
    return ranked


def _entries(
    keys: Sequence[Region], scores: NDArray[np.floating[Any]], ranked: Sequence[int]
) -> list[dict[str, Any]]:
    return _listed(keys, scores, _spread(keys, ranked))


def _spread(keys: Sequence[Region], ranked: Sequence[int]) -> list[int]:
    """The first `EXAMPLES` rows, of different images as far as there are any."""
    seen: set[int] = set()
    chosen: list[int] = []
    for row in ranked:
        if len(chosen) == EXAMPLES:
            break
        if keys[row][0] not in seen:
            seen.add(keys[row][0])
            chosen.append(row)
    first = set(chosen)
    rest = [row for row in ranked if row not in first]
    return chosen + rest[: EXAMPLES - len(chosen)]


def _listed(
    keys: Sequence[Region], scores: NDArray[np.floating[Any]], rows: Sequence[int]
) -> list[dict[str, Any]]:
    return [
        {
            "image": keys[row][0],
            "proposal": keys[row][1],
            "score": round(float(scores[row]), _DIGITS),
        }
        for row in rows
    ]


def cluster_certainty(images: Sequence[ViewedImage], number: int) -> list[list[float]] | None:
    """By cluster the number of places whose certainty was measured, and their mean; None where none
    was.

    Args:
        images: The images.
        number: K.
    """
    known = [each.certainty for each in images if each.certainty is not None]
    if not known:
        return None
    found = []
    for cluster in range(number):
        count = sum(each.tokens.get(cluster, 0) for each in known)
        total = sum(each.sums.get(cluster, 0.0) for each in known)
        found.append([count, round(total / count, _DIGITS) if count else 0.0])
    return found
