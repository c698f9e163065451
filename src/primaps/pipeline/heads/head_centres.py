"""Cluster centres of a trained head: found anew on its codes, and counted."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.heads.clusters import ClusterCentres
from primaps.heads.crops import TrainingCrops
from primaps.heads.kmeans import spherical_kmeans
from primaps.heads.projection import ProjectionHead
from primaps.heads.training import Draw, generator

USAGE_CROPS: Final = 500
"""Crops, evenly spread, in which the use of the cluster centres is counted."""
REFIT_CROPS: Final = 2000
"""Crops, evenly spread, whose codes the cluster centres are found anew on."""
REFIT_TOKENS: Final = 40_000
"""Codes, in about equal numbers of every such crop, that k-means sees."""
REFIT_STARTS: Final = 5
"""Starts of that k-means; the one with the best objective counts."""


@torch.no_grad()
def cluster_usage(head: ProjectionHead, clusters: ClusterCentres, crops: TrainingCrops) -> Tensor:
    """Tokens per cluster centre, in up to `USAGE_CROPS` crops.

    Args:
        head: Trained, in evaluation mode.
        clusters: Its cluster centres.
        crops: The training crops.

    Returns:
        (K,) int64 on the CPU.
    """
    usage = torch.zeros(len(clusters.centres), dtype=torch.int64)
    for index in _spread(crops, USAGE_CROPS):
        winners = clusters(head(crops.features([index]))).max(1).indices
        usage += torch.bincount(winners.flatten(), minlength=len(usage)).cpu()
    return usage


@torch.no_grad()
def refit_centres(
    head: ProjectionHead, clusters: ClusterCentres, crops: TrainingCrops, seed: int
) -> None:
    """Replace cluster centres by those of spherical k-means on about `REFIT_TOKENS` codes of up to
    `REFIT_CROPS` crops.

    Args:
        head: Trained, in evaluation mode.
        clusters: Its cluster centres; changed in place.
        crops: The training crops.
        seed: Of everything random.

    Raises:
        DatasetError: If there are fewer codes than centres.
    """
    draws = generator(seed, Draw.CENTRES, 0)
    chosen = _spread(crops, REFIT_CROPS)
    per_crop = -(-REFIT_TOKENS // len(chosen))
    tokens = []
    for index in chosen:
        code = F.normalize(head(crops.features([index]))[0].flatten(1), dim=0).T.cpu()
        tokens.append(code[torch.randperm(len(code), generator=draws)[:per_crop]])
    count = sum(map(len, tokens))
    if count < len(clusters.centres):
        raise DatasetError(
            f"Expected at least as many tokens as clusters, but got {count} and"
            f" {len(clusters.centres)}. Add photographs, or lower --classes."
        )
    centres, _ = spherical_kmeans(
        torch.cat(tokens), len(clusters.centres), draws, restarts=REFIT_STARTS
    )
    clusters.centres.copy_(centres)


def _spread(crops: TrainingCrops, count: int) -> range:
    """Numbers of up to so many crops, evenly spread."""
    return range(0, len(crops), -(-len(crops) // count))
