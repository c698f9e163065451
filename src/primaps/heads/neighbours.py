"""Nearest neighbours of images by their pooled features: where STEGO takes its positive pairs from
(Hamilton et al. 2022).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import DatasetError

CHUNK: Final = 2048
"""Queries compared with all images at a time."""


def pooled(features: Tensor) -> Tensor:
    """One vector per image: the mean over its tokens, at unit length.

    Args:
        features: (N, C, h, w) float.

    Returns:
        (N, C) float32.
    """
    return F.normalize(features.float().mean(dim=(2, 3)), dim=1)


def nearest_neighbours(descriptors: Tensor, count: int, *, chunk: int = CHUNK) -> Tensor:
    """The most similar other images of every image, by cosine, exactly.

    Args:
        descriptors: (N, C) float32, unit length, on any device.
        count: Neighbours per image; fewer if there are fewer other images.
        chunk: Queries at a time; memory is chunk x N floats.

    Returns:
        (N, min(count, N - 1)) int64 on the CPU, by falling similarity, never the image itself. (The
        official lists begin with the image itself.)

    Raises:
        DatasetError: If there are fewer than two images, or a descriptor is not finite.
    """
    total = len(descriptors)
    if total < 2:
        raise DatasetError(
            f"Expected two or more images or crops to find neighbours among, but got {total}. Add"
            " photographs."
        )
    if not bool(torch.isfinite(descriptors).all()):
        raise DatasetError(
            "Expected finite features to find neighbours by, but got NaN or infinity. Extract them"
            " again."
        )
    found = []
    for start in range(0, total, chunk):
        similarity = descriptors[start : start + chunk] @ descriptors.T
        numbers = torch.arange(len(similarity), device=similarity.device)
        similarity[numbers, start + numbers] = -torch.inf
        found.append(similarity.topk(min(count, total - 1), dim=1).indices.cpu())
    return torch.cat(found)
