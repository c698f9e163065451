"""From one image and its features to mask proposals: decomposition, dense CRF, consecutive ids."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from primaps.config import ProposalConfig, preset_config
from primaps.errors import ConfigError
from primaps.proposals.crf import mean_field, official_uint8
from primaps.proposals.principal import MASK_LIMIT, principal_masks, soft_scores
from primaps.types import Image, MaskProposals

POSTERIOR_LIMIT = 32_000_000
"""Values (labels times pixels) of a CRF posterior at most: with many labels the CRF works at fewer pixels."""


def mask_proposals(
    image: Image | torch.Tensor,
    features: NDArray[np.floating] | torch.Tensor,
    threshold: float = 0.4,
    preset: str = "default",
    min_area: int = 0,
    max_masks: int | None = None,
) -> MaskProposals:
    """Principal mask proposals of one image (Hahn et al. 2024, section 3.1).

    Args:
        image: (H, W, 3) uint8 RGB.
        features: (C, h, w) features of the whole image; the aspect ratio may be rounded differently.
        threshold: Cosine similarity to the anchor from which on a token belongs to a proposal; published: 0.4.
        preset: "default", "paper" or "fast"; the differences stand in ``docs/fidelity.md``.
        min_area: Proposals with fewer pixels become unassigned.
        max_masks: At most this many proposals; None = 254.

    Returns:
        Proposals at the size of the image.

    Raises:
        ConfigError: If a shape, dtype or setting is out of range, or features are not finite.
    """
    base = preset_config(preset)
    settings = dataclasses.replace(base.proposals, threshold=threshold, min_area=min_area, max_masks=max_masks)
    dataclasses.replace(base, proposals=settings)  # checks the ranges
    return extract_proposals(image, features, threshold, settings, max_pixels=base.predict.max_pixels)


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
        max_pixels: The CRF works at no more than this many pixels; its result is enlarged to the image's size.

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
    labels, crf_guards = _refined(pixels, scores, config, max_pixels)
    label_image, kept = _consecutive(labels, len(masks.scores), config.min_area)
    return MaskProposals(label_image, masks.scores.cpu().numpy()[kept], masks.guards + guards + crf_guards)


def _checked(image: Image | torch.Tensor, features: NDArray[np.floating] | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    # A copy, because torch warns about arrays that are read-only, as those of Pillow are.
    grid = features if isinstance(features, torch.Tensor) else torch.tensor(features)
    pixels = image if isinstance(image, torch.Tensor) else torch.tensor(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != torch.uint8 or not pixels.numel():
        raise ConfigError(
            f"Expected an image of shape (H, W, 3) and dtype uint8 (RGB), but got {tuple(pixels.shape)} {pixels.dtype}. "
            "primaps.read_image reads files in this form."
        )
    if grid.ndim != 3 or not grid.is_floating_point() or not grid.numel():
        raise ConfigError(f"Expected features of shape (C, h, w) and a float dtype, but got {tuple(grid.shape)} {grid.dtype}.")
    grid = grid.detach().float()
    if not torch.isfinite(torch.stack(grid.aminmax())).all():  # twenty times as fast as to look at every value
        raise ConfigError("Expected finite features, but got NaN or infinity. Check the backbone's weights and precision.")
    return pixels.to(grid.device), grid


def _refined(
    pixels: torch.Tensor, scores: torch.Tensor, config: ProposalConfig, max_pixels: int
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """(H, W) labels after the CRF, 0 = background, and the guards that were needed."""
    height, width = pixels.shape[:2]
    if len(scores) == 1:
        return torch.zeros(height, width, dtype=torch.int64), ()
    size = limited_size((height, width), min(max_pixels, POSTERIOR_LIMIT // len(scores)))
    pixels = _reduced(pixels, _fraction(size, config.crf_scale))
    if config.official_order:
        pixels = official_uint8(pixels)
    upsampled = _upsampled(scores, (pixels.shape[0], pixels.shape[1]))
    constants = dataclasses.replace(config.crf, bilateral_sxy=config.crf.bilateral_sxy * config.crf_scale)
    posterior = _upsampled(mean_field(pixels, upsampled.softmax(dim=0), constants), size)
    labels = posterior.max(dim=0).indices  # ten times as fast as argmax
    guards: tuple[str, ...] = ()
    if not config.official_order and not labels.any():
        # The CRF let the background take everything; the masks before it are better than no proposal at all.
        labels, guards = upsampled[1:].argmax(dim=0) + 1, ("crf_erased_all",)
        labels[upsampled[0] >= upsampled[1:].amax(dim=0)] = 0
    return enlarge_nearest(labels, height, width).cpu(), guards


def _upsampled(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(M, h, w) maps at another (height, width), bilinear, pixel centres aligned."""
    if maps.shape[1:] == size:
        return maps
    return F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]


def _fraction(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor of at most 1; no side vanishes."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrink(pixels: torch.Tensor, max_pixels: int) -> torch.Tensor:
    """(H, W, 3) uint8 image of at most ``max_pixels`` pixels."""
    return _reduced(pixels, limited_size((pixels.shape[0], pixels.shape[1]), max_pixels))


def _reduced(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(H, W, 3) uint8 image at a (height, width) that is not larger."""
    if size == (pixels.shape[0], pixels.shape[1]):
        return pixels
    planes = pixels.permute(2, 0, 1)[None]
    small = F.interpolate(planes.float(), size=size, mode="bilinear", antialias=True)[0]  # for integers there is no GPU kernel
    return small.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()


def limited_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest (height, width) of the same shape with at most ``max_pixels`` pixels; never larger than ``size``."""
    height, width = size
    if height * width <= max_pixels:
        return size
    scale = (max_pixels / (height * width)) ** 0.5
    short, long = sorted((max(1, int(height * scale)), max(1, int(width * scale))))
    long = min(long, max_pixels // short)  # a strip whose short side was held at 1
    return (short, long) if height <= width else (long, short)


def enlarge_nearest(labels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(h, w) ids resampled to (height, width): each pixel takes the id of the cell that its centre lies in."""
    rows = (torch.arange(height, device=labels.device) * 2 + 1) * labels.shape[0] // (2 * height)
    columns = (torch.arange(width, device=labels.device) * 2 + 1) * labels.shape[1] // (2 * width)
    return labels[rows][:, columns]


def _consecutive(labels: torch.Tensor, num_masks: int, min_area: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Close the gaps of ids that lost all (or too many) pixels; also the indices of the proposals that stay."""
    areas = torch.bincount(labels.flatten(), minlength=num_masks + 1)[1:]
    kept = (areas >= max(1, min_area)).nonzero().flatten()
    table = torch.zeros(num_masks + 1, dtype=torch.int32)
    table[kept + 1] = torch.arange(1, len(kept) + 1, dtype=torch.int32)
    return table[labels].numpy(), kept.numpy()
