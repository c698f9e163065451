"""What changes over a fit: how often each cluster is used, and how far student and teacher agree,
snapshot by snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from primaps.errors import DatasetError
from primaps.prototypes.classifier import logits
from primaps.prototypes.loop.state import Snapshot
from primaps.types import FeatureSource, FitCurves, View


def measure_curves(
    source: FeatureSource,
    snapshots: Sequence[Snapshot],
    losses: Sequence[float],
    *,
    cosine: bool,
    device: torch.device | str = "cpu",
    advance: Callable[[], None] | None = None,
) -> FitCurves:
    """Classify the tokens of the plain view with the student and the teacher of every snapshot. No
    label is needed.

    Args:
        source: Cached features.
        snapshots: Prototypes of one fit, in the order of their steps; one or more.
        losses: Loss of every step.
        cosine: Whether the prototypes classify by cosine similarity.
        device: Where the tokens are classified.
        advance: Called after every image.

    Raises:
        DatasetError: If there is no image or no snapshot.
    """
    if not len(source) or not snapshots:
        raise DatasetError(
            f"Expected images and snapshots to draw curves from, but got {len(source)} and"
            f" {len(snapshots)}."
        )
    teachers, students = (
        torch.stack([getattr(one, role) for one in snapshots]).to(device, torch.float32)
        for role in ("teacher", "student")
    )
    count, num_clusters, _ = teachers.shape
    usage = torch.zeros(count, num_clusters, dtype=torch.int64, device=device)
    alike = torch.zeros(count, dtype=torch.int64, device=device)
    for index in range(len(source)):
        features = source.features(index, View()).to(device)
        classes = token_classes(features, teachers, cosine=cosine).flatten(1)
        usage.scatter_add_(1, classes, torch.ones_like(classes))
        alike += (classes == token_classes(features, students, cosine=cosine).flatten(1)).sum(1)
        if advance is not None:
            advance()
    tokens = int(usage[0].sum())
    return FitCurves(
        losses=np.array(losses, dtype=np.float64),
        steps=np.array([one.step for one in snapshots], dtype=np.int64),
        usage=usage.cpu().numpy() / tokens,
        agreement=alike.cpu().numpy() / tokens,
    )


def token_classes(features: Tensor, prototypes: Tensor, *, cosine: bool) -> Tensor:
    """Classify the tokens of an image with several sets of prototypes at once.

    Args:
        features: (C, h, w) floating point.
        prototypes: (n, K, C) float32 on the same device.
        cosine: Whether they classify by cosine similarity.

    Returns:
        (n, h, w) int64 class of every token; the smallest class id wins ties.

    Raises:
        ConfigError: If the number of channels differs.
    """
    count, num_clusters, _ = prototypes.shape
    scores = logits(features, prototypes.flatten(0, 1), cosine=cosine)
    classes: Tensor = scores.view(count, num_clusters, *features.shape[1:]).max(1).indices
    return classes
