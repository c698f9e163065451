"""Position embeddings resampled as the official DINO and DINOv2 hub code does.

timm resamples with antialiasing to the exact size; the hub code does not, and the features differ
visibly (mean cosine 0.95 to 0.998). Each rule below restates one ``interpolate_pos_encoding`` of
facebookresearch/dino or facebookresearch/dinov2.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from primaps.features.registry import PositionRule

_OFFSET = 0.1  # of the hub code, against rounding down; it also shifts the sampling grid


def resample_position(
    patches: torch.Tensor, grid: tuple[int, int], rule: PositionRule
) -> torch.Tensor:
    """Position embeddings of the patch tokens for another grid.

    Args:
        patches: (1, T, C) float32 embeddings of a square grid of T patches, row-major, without
            prefix tokens.
        grid: (h, w) of the new grid, in patches.
        rule: "dino" and "dinov2": bicubic, no antialiasing, scale factors (h + 0.1) / sqrt(T) and
            (w + 0.1) / sqrt(T). "dinov2_reg": bicubic, antialiased, to the exact size.

    Returns:
        (1, h * w, C) float32; the input itself if the new grid is square and has T patches.
    """
    height, width = grid
    count, dim = patches.shape[1:]
    if height == width and height * width == count:
        return patches
    side = math.isqrt(count)
    image = patches.reshape(1, side, side, dim).permute(0, 3, 1, 2)
    if rule == "dinov2_reg":
        image = F.interpolate(image, size=grid, mode="bicubic", antialias=True)
    else:
        scale = ((height + _OFFSET) / side, (width + _OFFSET) / side)
        image = F.interpolate(image, scale_factor=scale, mode="bicubic")
    return image.permute(0, 2, 3, 1).reshape(1, height * width, dim)
