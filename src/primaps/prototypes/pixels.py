"""From tokens to pixels: bilinear upsampling of K-channel logits, to all pixels, to a grid of them,
or to some of them.

Prototypes are linear without bias, so upsampling their logits equals upsampling the features, at K
channels instead of C.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

GROUP_ELEMENTS: Final = 8_000_000
"""Floats of upsampled logits that are held at a time (32 MB), unless one image alone has more."""


def bilinear_taps(
    tokens: int, pixels: int, device: torch.device | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Where each pixel of one axis lies between two tokens (bilinear, ``align_corners=False``,
    pixel centres).

    Args:
        tokens: Length of the axis at token resolution.
        pixels: Length of the axis at image resolution.
        device: Where the result lives.

    Returns:
        (pixels,) int64 lower token, (pixels,) int64 upper token, (pixels,) float32 weight of the
        upper one in [0, 1).
    """
    ratio = torch.tensor(tokens, dtype=torch.float32, device=device) / pixels
    position = (ratio * (torch.arange(pixels, device=device) + 0.5) - 0.5).clamp_min(0.0)
    lower = position.long().clamp_max(tokens - 1)
    return lower, (lower + 1).clamp_max(tokens - 1), (position - lower).clamp(0.0, 1.0)


def upsample(token_logits: Tensor, size: tuple[int, int], stride: int = 1) -> Tensor:
    """Bilinearly upsampled logits on every ``stride``-th pixel of an image, as two matrix products
    (same bytes on every run).

    Args:
        token_logits: (..., h, w) float32.
        size: (H, W) of the image in pixels.
        stride: Distance of neighbouring grid pixels; 1 = all pixels.

    Returns:
        (..., H', W') float32 at the pixels that `pixel_grid` takes.
    """
    rows, columns = (
        _interpolation_matrix(tokens, pixels, token_logits.device)[pixel_grid(pixels, stride)]
        for tokens, pixels in zip(token_logits.shape[-2:], size, strict=True)
    )
    return rows @ (token_logits @ columns.T)


def size_of(proposals: Tensor) -> tuple[int, int]:
    """(H, W) of an image in pixels, from its (H, W) proposal ids."""
    height, width = proposals.shape
    return height, width


def pixel_grid(pixels: int, stride: int) -> slice:
    """Every ``stride``-th pixel of an axis, starting in the middle of the first cell."""
    return slice(min(stride // 2, (pixels - 1) // 2), None, stride)


def _interpolation_matrix(tokens: int, pixels: int, device: torch.device) -> Tensor:
    """(pixels, tokens) weights of bilinear upsampling along one axis."""
    lower, upper, weight = bilinear_taps(tokens, pixels, device)
    matrix = torch.zeros(pixels, tokens, device=device)
    matrix.scatter_(1, lower[:, None], 1.0 - weight[:, None])
    return matrix.scatter_add_(1, upper[:, None], weight[:, None])


def sample(token_logits: Tensor, size: tuple[int, int], images: Tensor, pixels: Tensor) -> Tensor:
    """Bilinearly upsampled logits at some pixels only.

    Args:
        token_logits: (N, K, h, w) float32.
        size: (H, W) of the images in pixels.
        images: (P,) int64 image of each pixel, 0..N-1.
        pixels: (P,) int64 flat pixel index within its image (row times W plus column).

    Returns:
        (P, K) float32, equal to the upsampled logits at those pixels.
    """
    _, num_classes, height, width = token_logits.shape
    top, bottom, down = (
        values[pixels // size[1]] for values in bilinear_taps(height, size[0], token_logits.device)
    )
    left, right, across = (
        values[pixels % size[1]] for values in bilinear_taps(width, size[1], token_logits.device)
    )
    top, bottom = ((images * height + row) * width for row in (top, bottom))
    taps = torch.stack([top + left, top + right, bottom + left, bottom + right], dim=1)
    weights = torch.stack(
        [(1 - down) * (1 - across), (1 - down) * across, down * (1 - across), down * across], dim=1
    )
    tokens = token_logits.permute(0, 2, 3, 1).reshape(-1, num_classes)
    return F.embedding_bag(taps, tokens, mode="sum", per_sample_weights=weights)


def equal_shapes(
    token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int
) -> list[list[int]]:
    """Indices of images that can be stacked, few enough that their upsampled logits fit
    `GROUP_ELEMENTS`.

    Args:
        token_logits: Per image (K, h, w).
        sizes: Per image (H, W) in pixels.
        stride: Pixel stride of the grid to which logits will be upsampled.

    Returns:
        Groups of indices; together every image once.
    """
    members: dict[tuple[torch.Size, tuple[int, int]], list[int]] = {}
    for index, (values, size) in enumerate(zip(token_logits, sizes, strict=True)):
        members.setdefault((values.shape, size), []).append(index)
    groups: list[list[int]] = []
    for (shape, (height, width)), indices in members.items():
        limit = max(1, GROUP_ELEMENTS * stride**2 // (shape[0] * height * width))
        groups += [indices[start : start + limit] for start in range(0, len(indices), limit)]
    return groups
