"""Proposals after the dense CRF: images of one size, those with about as many labels together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from primaps.config import CRFConfig, ProposalConfig
from primaps.proposals.crf.dense_crf import (
    mean_field_batch,
    official_uint8,
    softmax_over_labels,
)
from primaps.proposals.crf.plain import LABEL_MULTIPLE
from primaps.proposals.resampling import (
    enlarge_nearest,
    fraction,
    limited_size,
    reduced,
    upsampled,
)

POSTERIOR_LIMIT = 32_000_000
"""Values (labels times pixels) of a CRF posterior at most: with many labels the CRF works at fewer
pixels.
"""

_MAX_POSTERIOR = 1 << 27
"""Values (images times labels times pixels) that the CRF works on at a time (512 MB each time it
keeps them).
"""


def refined(
    images: torch.Tensor,
    scores: torch.Tensor,
    counts: Sequence[int],
    config: ProposalConfig,
    max_pixels: int,
) -> tuple[torch.Tensor, list[bool]]:
    """Labels after the CRF, of B images of one size.

    Args:
        images: (B, H, W, 3) uint8 RGB.
        scores: (B, K + 1, h, w) float32 log-probabilities of background and proposals.
        counts: How many of the K proposals each image has.
        config: Settings of the extraction.
        max_pixels: The CRF works at no more than this many pixels.

    Returns:
        (B, H, W) int64 labels, 0 = background, and per image whether the CRF had erased all
        proposals, so that those before it were taken. Other images of the batch make no difference.
    """
    parts = _parts(counts, (images.shape[1], images.shape[2]), max_pixels)
    if len(parts) == 1:
        labels = [count + 1 for count in counts]
        return _refined_part(images, scores, labels, config, parts[0][1])
    result = torch.empty(images.shape[:3], dtype=torch.int64, device=images.device)
    erased = [False] * len(images)
    for members, size in parts:
        labels = [counts[image] + 1 for image in members]
        index = torch.tensor(members, device=images.device)
        result[index], lost = _refined_part(
            images[index], scores[index, : max(labels)], labels, config, size
        )
        for image, is_lost in zip(members, lost, strict=True):
            erased[image] = is_lost
    return result, erased


def _parts(
    counts: Sequence[int], size: tuple[int, int], max_pixels: int
) -> list[tuple[list[int], tuple[int, int]]]:
    """Images whose rows of labels are equally long, as many as fit the memory, and the (height,
    width) at which they are refined.
    """
    groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for image, count in enumerate(counts):
        row = count + 1 + -(count + 1) % LABEL_MULTIPLE if count else 1
        groups.setdefault((row, crf_size(size, count + 1, max_pixels)), []).append(image)
    parts = []
    for (row, refined_at), members in groups.items():
        most = max(1, _MAX_POSTERIOR // (row * refined_at[0] * refined_at[1]))
        parts += [
            (members[start : start + most], refined_at) for start in range(0, len(members), most)
        ]
    return parts


def crf_size(size: tuple[int, int], labels: int, max_pixels: int) -> tuple[int, int]:
    """(height, width) at which an image of this size is refined with so many labels, before
    `ProposalConfig.crf_scale`.
    """
    return limited_size(size, min(max_pixels, POSTERIOR_LIMIT // labels))


def _refined_part(
    pixels: torch.Tensor,
    scores: torch.Tensor,
    labels: Sequence[int],
    config: ProposalConfig,
    size: tuple[int, int],
) -> tuple[torch.Tensor, list[bool]]:
    """`refined` of N images with about as many labels.

    Args:
        pixels: (N, H, W, 3) uint8 RGB.
        scores: (N, M, h, w) float32 log-probabilities of background and proposals.
        labels: How many of the M labels each image has.
        config: Settings of the extraction.
        size: Of `crf_size`.

    Returns:
        (N, H, W) int64 labels, 0 = background, and per image whether the CRF had erased all
        proposals, so that those before it were taken.
    """
    height, width = pixels.shape[1:3]
    if max(labels) == 1:
        return torch.zeros(len(pixels), height, width, dtype=torch.int64, device=pixels.device), [
            False
        ] * len(pixels)
    pixels = reduced(pixels, fraction(size, config.crf_scale))
    if config.official_order:
        pixels = official_uint8(pixels)
    maps = upsampled(scores, (pixels.shape[1], pixels.shape[2]))
    if min(labels) < scores.shape[1]:
        numbers = torch.tensor(labels, device=maps.device)[:, None, None, None]
        maps = maps.masked_fill(
            torch.arange(scores.shape[1], device=maps.device)[:, None, None] >= numbers, -torch.inf
        )
    constants = scaled_constants(config.crf, config.crf_scale)
    posterior = upsampled(
        mean_field_batch(pixels, softmax_over_labels(maps), constants, labels=labels), size
    )
    found = posterior.max(dim=1).indices  # ten times as fast as argmax
    result = enlarge_nearest(found, height, width)
    if config.official_order:
        return result, [False] * len(found)
    # Where the CRF let the background take everything, the masks before it are better than no
    # proposal at all.
    erased = [
        count > 1 and not any_left
        for count, any_left in zip(labels, found.flatten(1).any(dim=1).tolist(), strict=True)
    ]
    for image in (index for index, lost in enumerate(erased) if lost):
        before = maps[image, 1:].argmax(dim=0) + 1
        before[maps[image, 0] >= maps[image, 1:].amax(dim=0)] = 0
        result[image] = enlarge_nearest(before, height, width)
    return result, erased


def scaled_constants(config: CRFConfig, scale: float) -> CRFConfig:
    """Constants of the CRF for an image at a fraction of each side."""
    return dataclasses.replace(config, bilateral_sxy=config.bilateral_sxy * scale)
