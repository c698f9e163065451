"""From one image and its features to mask proposals: decomposition, dense CRF, consecutive ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from primaps.config import CRFConfig, ProposalConfig, preset_config
from primaps.errors import ConfigError
from primaps.proposals.crf.dense_crf import mean_field_batch, official_uint8, softmax_over_labels
from primaps.proposals.principal import MASK_LIMIT, principal_masks, soft_scores
from primaps.types import Image, MaskProposals, remembered_threshold

POSTERIOR_LIMIT = 32_000_000
"""Values (labels times pixels) of a CRF posterior at most: with many labels the CRF works at fewer
pixels.
"""


def mask_proposals(
    image: Image | torch.Tensor,
    features: NDArray[np.floating] | torch.Tensor,
    threshold: float | None = None,
    preset: str = "default",
    min_area: int = 0,
    max_masks: int | None = None,
) -> MaskProposals:
    """Principal mask proposals of one image (Hahn et al. 2024, section 3.1).

    Args:
        image: (H, W, 3) uint8 RGB.
        features: (C, h, w) features of the whole image; the aspect ratio may be rounded
            differently.
        threshold: Cosine similarity to the anchor from which on a token belongs to a proposal; None
            = that of the backbone whose ``extract`` gave these features.
        preset: "default", "paper" or "fast"; the differences stand in ``docs/fidelity.md``.
        min_area: Proposals with fewer pixels become unassigned.
        max_masks: At most this many proposals; None = 254.

    Returns:
        Proposals at the size of the image.

    Raises:
        ConfigError: If a shape, dtype or setting is out of range, features are not finite, or no
            threshold is given or known.
    """
    base = preset_config(preset)
    threshold = remembered_threshold(features) if threshold is None else threshold
    if threshold is None:
        raise ConfigError(
            "Expected a threshold, or features just as backbone.extract gave them, which carry the"
            " backbone's, but got neither. Give threshold=backbone.threshold; where that is None,"
            " as of timm: models, calibrate one on some of your images:"
            " threshold=primaps.calibrate_threshold([backbone.extract(image) for image in"
            " images]).value."
        )
    settings = dataclasses.replace(
        base.proposals, threshold=threshold, min_area=min_area, max_masks=max_masks
    )
    dataclasses.replace(base, proposals=settings)  # checks the ranges
    return extract_proposals(
        image, features, threshold, settings, max_pixels=base.predict.max_pixels
    )


def extract_proposals(
    image: Image | torch.Tensor,
    features: NDArray[np.floating] | torch.Tensor,
    threshold: float,
    config: ProposalConfig,
    max_pixels: int,
) -> MaskProposals:
    """`mask_proposals` with every setting explicit.

    Args:
        image: (H, W, 3) uint8 RGB.
        features: (C, h, w).
        threshold: Used where ``config.threshold`` is None.
        config: Settings of the extraction.
        max_pixels: The CRF works at no more than this many pixels; its result is enlarged to the
            image's size.

    Raises:
        ConfigError: If a shape or dtype does not fit, or features are not finite.
    """
    pixels, grid = _checked(image, features)
    masks = principal_masks(
        grid,
        threshold if config.threshold is None else config.threshold,
        stop_fraction=config.stop_fraction,
        max_masks=min(config.max_masks or MASK_LIMIT, MASK_LIMIT),
        official_anchor=config.official_order,
    )
    scores, guards = soft_scores(masks.similarity)
    labels, erased = refined(
        pixels[None],
        scores[None],
        (len(scores),),
        config,
        crf_size(pixels.shape[:2], len(scores), max_pixels),
    )
    label_images, kept = consecutive(labels, len(masks.scores), config.min_area)
    crf_guards = ("crf_erased_all",) if erased[0] else ()
    mask_scores = masks.scores.cpu().numpy()[kept[0].cpu().numpy()]
    return MaskProposals(
        label_images[0].cpu().numpy(), mask_scores, masks.guards + guards + crf_guards
    )


def _checked(
    image: Image | torch.Tensor, features: NDArray[np.floating] | torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    # A copy, because torch warns about arrays that are read-only, as those of Pillow are.
    grid = features if isinstance(features, torch.Tensor) else torch.tensor(features)
    pixels = image if isinstance(image, torch.Tensor) else torch.tensor(image)
    if (
        pixels.ndim != 3
        or pixels.shape[2] != 3
        or pixels.dtype != torch.uint8
        or not pixels.numel()
    ):
        raise ConfigError(
            "Expected an image of shape (H, W, 3) and dtype uint8 (RGB), but got"
            f" {tuple(pixels.shape)} {pixels.dtype}. primaps.read_image reads files in this form."
        )
    if grid.ndim != 3 or not grid.is_floating_point() or not grid.numel():
        raise ConfigError(
            f"Expected features of shape (C, h, w) and a float dtype, but got {tuple(grid.shape)}"
            f" {grid.dtype}."
        )
    grid = grid.detach().float()
    # twenty times as fast as to look at every value
    if not torch.isfinite(torch.stack(grid.aminmax())).all():
        raise ConfigError(
            "Expected finite features, but got NaN or infinity. Check the backbone's weights and"
            " precision."
        )
    return pixels.to(grid.device), grid


def crf_size(size: Sequence[int], labels: int, max_pixels: int) -> tuple[int, int]:
    """(height, width) at which an image of this size is refined with so many labels, before
    `ProposalConfig.crf_scale`.
    """
    return limited_size((size[0], size[1]), min(max_pixels, POSTERIOR_LIMIT // labels))


def refined(
    pixels: torch.Tensor,
    scores: torch.Tensor,
    labels: Sequence[int],
    config: ProposalConfig,
    size: tuple[int, int],
) -> tuple[torch.Tensor, list[bool]]:
    """Labels after the CRF, of N images of one size.

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
    maps = _upsampled(scores, (pixels.shape[1], pixels.shape[2]))
    if min(labels) < scores.shape[1]:
        numbers = torch.tensor(labels, device=maps.device)[:, None, None, None]
        maps = maps.masked_fill(
            torch.arange(scores.shape[1], device=maps.device)[:, None, None] >= numbers, -torch.inf
        )
    constants = scaled_constants(config.crf, config.crf_scale)
    posterior = _upsampled(
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


def _upsampled(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, M, h, w) maps at another (height, width), bilinear, pixel centres aligned."""
    return (
        maps
        if maps.shape[2:] == size
        else F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    )


def scaled_constants(config: CRFConfig, scale: float) -> CRFConfig:
    """Constants of the CRF for an image at a fraction of each side."""
    return dataclasses.replace(config, bilateral_sxy=config.bilateral_sxy * scale)


def fraction(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor of at most 1; no side vanishes."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrink(pixels: torch.Tensor, max_pixels: int) -> torch.Tensor:
    """(H, W, 3) uint8 image of at most ``max_pixels`` pixels."""
    size = limited_size((pixels.shape[0], pixels.shape[1]), max_pixels)
    return pixels if size == pixels.shape[:2] else reduced(pixels[None], size)[0]


def reduced(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, H, W, 3) uint8 images at a (height, width) that is not larger."""
    if size == (pixels.shape[1], pixels.shape[2]):
        return pixels
    planes = pixels.permute(0, 3, 1, 2)
    # for integers there is no GPU kernel
    small = F.interpolate(planes.float(), size=size, mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def limited_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest (height, width) of the same shape with at most ``max_pixels`` pixels; never
    larger than ``size``.
    """
    height, width = size
    if height * width <= max_pixels:
        return size
    scale = (max_pixels / (height * width)) ** 0.5
    short, long = sorted((max(1, int(height * scale)), max(1, int(width * scale))))
    long = min(long, max_pixels // short)  # a strip whose short side was held at 1
    return (short, long) if height <= width else (long, short)


def enlarge_nearest(labels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(..., h, w) ids resampled to (..., height, width): each pixel takes the id of the cell that
    its centre lies in.
    """
    rows = (torch.arange(height, device=labels.device) * 2 + 1) * labels.shape[-2] // (2 * height)
    columns = (torch.arange(width, device=labels.device) * 2 + 1) * labels.shape[-1] // (2 * width)
    return labels[..., rows, :][..., columns]


def consecutive(
    labels: torch.Tensor, num_masks: int, min_area: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Close the gaps of ids that lost all (or too many) pixels.

    Args:
        labels: (N, H, W) int64 ids from 0 to ``num_masks``.
        num_masks: K.
        min_area: Proposals with fewer pixels become 0.

    Returns:
        (N, H, W) int32 ids without gaps, and (N, K) bool which proposals stay.
    """
    flat = labels.flatten(1)
    areas = torch.zeros(len(flat), num_masks + 1, dtype=torch.int64, device=labels.device)
    areas.scatter_add_(1, flat, torch.ones_like(flat))
    kept = areas[:, 1:] >= max(1, min_area)
    table = F.pad((kept.cumsum(dim=1) * kept).int(), (1, 0))
    return table.gather(1, flat).view(labels.shape), kept
