"""From images and their features to mask proposals: decomposition, dense CRF, consecutive ids."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from primaps.compute.forked import check_fork
from primaps.config import ProposalConfig, preset_config
from primaps.errors import ConfigError
from primaps.pictures import as_image
from primaps.proposals.directions import Finder
from primaps.proposals.directions_batched import BatchedDirections
from primaps.proposals.directions_exact import ExactDirections
from primaps.proposals.layout import as_grid, check_channels_first
from primaps.proposals.principal import MASK_LIMIT, principal_masks
from primaps.proposals.refining import refined
from primaps.proposals.soft_scores import soft_scores
from primaps.types import Image, ImageLike, MaskProposals, remembered_threshold


def mask_proposals(
    image: ImageLike,
    features: NDArray[np.floating] | torch.Tensor,
    threshold: float | None = None,
    preset: str = "default",
    min_area: int = 0,
    max_masks: int | None = None,
) -> MaskProposals:
    """Principal mask proposals of one image (Hahn et al. 2024, section 3.1).

    Args:
        image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W); the
            rules stand in `primaps.pictures`.
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
        ImageError: If the image is none.
        ConfigError: If a shape, dtype or setting of the rest is out of range, features are not
            finite, or no threshold is given or known.
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
    picture = as_image(image)
    shape = tuple(np.shape(features))
    if len(shape) == 3:
        check_channels_first("features", shape, (picture.shape[0], picture.shape[1]))
    return extract_proposals(
        picture, features, threshold, settings, max_pixels=base.predict.max_pixels
    )


def extract_proposals(
    image: Image | torch.Tensor,
    features: NDArray[np.floating] | torch.Tensor,
    threshold: float,
    config: ProposalConfig,
    max_pixels: int,
) -> MaskProposals:
    """`mask_proposals` with every setting explicit: a batch of one, with exact directions.

    Args:
        image: (H, W, 3) uint8 RGB.
        features: (C, h, w).
        threshold: Used where ``config.threshold`` is None.
        config: Settings of the extraction.
        max_pixels: The CRF works at no more than this many pixels; its result is enlarged to the
            image's size.

    Raises:
        ConfigError: If a shape or dtype does not fit, or features are not finite.
        ProcessError: If this process was forked from one that had computed.
    """
    check_fork()
    # A copy, because torch warns about arrays that are read-only, as those of Pillow are.
    grid = as_grid(features)
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
    return extract_proposals_batch(
        pixels[None], grid[None], threshold, config, max_pixels, directions=ExactDirections
    )[0]


@torch.no_grad()
def extract_proposals_batch(
    images: torch.Tensor,
    features: torch.Tensor,
    threshold: float,
    config: ProposalConfig,
    max_pixels: int,
    *,
    directions: Finder = BatchedDirections,
) -> list[MaskProposals]:
    """Principal mask proposals of B images of one size (Hahn et al. 2024, section 3.1).

    Meant for accelerators, where a single image leaves most of the device idle. Every step works on
    all images, or on those with about as many labels, and the host waits a few times per batch, not
    per image or mask. An image's proposals are those of `extract_proposals` for it alone on the
    same device, but for pixels at which two labels are equally likely up to rounding; other images
    of the batch do not count.

    Args:
        images: (B, H, W, 3) uint8 RGB, B >= 1.
        features: (B, C, h, w) floating point, finite, on the device that does the work.
        threshold: Used where ``config.threshold`` is None.
        config: Settings of the extraction.
        max_pixels: The CRF works at no more than this many pixels; its result is enlarged to the
            images' size.
        directions: How principal directions are found.

    Raises:
        ConfigError: If a shape or dtype does not fit, or features are not finite.
    """
    _check(images, features)
    grids = features.float()
    _check_finite(grids)
    masks = principal_masks(
        grids,
        threshold if config.threshold is None else config.threshold,
        stop_fraction=config.stop_fraction,
        max_masks=min(config.max_masks or MASK_LIMIT, MASK_LIMIT),
        official_anchor=config.official_order,
        directions=directions,
    )
    scores, median_erased = soft_scores(masks.similarity, masks.counts)
    labels, crf_erased = refined(
        images.to(features.device), scores, masks.counts, config, max_pixels
    )
    label_images, kept = consecutive(labels, max(masks.counts), config.min_area)
    made = []
    fetched = zip(
        label_images.cpu().numpy(), masks.scores.cpu().numpy(), kept.cpu().numpy(), strict=True
    )
    for image, ((label_image, mask_scores, stays), median, crf) in enumerate(
        zip(fetched, median_erased.tolist(), crf_erased, strict=True)
    ):
        guards = (("median_erased_all",) if median else ()) + (("crf_erased_all",) if crf else ())
        made.append(MaskProposals(label_image, mask_scores[stays], masks.guards[image] + guards))
    return made


def _check(images: torch.Tensor, features: torch.Tensor) -> None:
    if (
        images.ndim != 4
        or images.shape[3] != 3
        or images.dtype != torch.uint8
        or not images.numel()
    ):
        raise ConfigError(
            f"Expected images of shape (B, H, W, 3) and dtype uint8, but got {tuple(images.shape)}"
            f" {images.dtype}."
        )
    if (
        features.ndim != 4
        or not features.is_floating_point()
        or not features.numel()
        or len(features) != len(images)
    ):
        raise ConfigError(
            f"Expected features of shape ({len(images)}, C, h, w) and a float dtype, but got"
            f" {tuple(features.shape)} {features.dtype}."
        )


def _check_finite(features: torch.Tensor) -> None:
    # twenty times as fast as to look at every value
    if not torch.isfinite(torch.stack(features.aminmax())).all():
        raise ConfigError(
            "Expected finite features, but got NaN or infinity. Check the backbone's weights and"
            " precision."
        )


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
