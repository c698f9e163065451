"""From many images of one size and their features to mask proposals: `primaps.proposals.extract`
with all images at once.

Meant for accelerators, where a single image leaves most of the device idle. Every step works on all
images, or on those with about as many labels, and the host waits a few times per batch, not per
image or mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from primaps.config import ProposalConfig
from primaps.errors import ConfigError
from primaps.proposals.crf.dense_crf import LABEL_MULTIPLE
from primaps.proposals.extract import consecutive, crf_size, refined
from primaps.proposals.principal import MASK_LIMIT
from primaps.proposals.principal_batch import principal_masks_batch
from primaps.proposals.unary_batch import soft_scores_batch
from primaps.types import MaskProposals

_MAX_POSTERIOR = 1 << 27
"""Values (images times labels times pixels) that the CRF works on at a time (512 MB each time it
keeps them).
"""


@torch.no_grad()
def extract_proposals_batch(
    images: torch.Tensor,
    features: torch.Tensor,
    threshold: float,
    config: ProposalConfig,
    max_pixels: int,
) -> list[MaskProposals]:
    """Principal mask proposals of B images of one size (Hahn et al. 2024, section 3.1).

    An image's proposals are those of `primaps.proposals.extract.extract_proposals` for it alone on
    the same device, but for pixels at which two labels are equally likely up to rounding; other
    images of the batch do not count.

    Args:
        images: (B, H, W, 3) uint8 RGB, B >= 1.
        features: (B, C, h, w) floating point, finite, on the device that does the work.
        threshold: Used where ``config.threshold`` is None.
        config: Settings of the extraction.
        max_pixels: The CRF works at no more than this many pixels; its result is enlarged to the
            images' size.

    Raises:
        ConfigError: If a shape or dtype does not fit, or features are not finite.
    """
    _check(images, features)
    masks = principal_masks_batch(
        features.float(),
        threshold if config.threshold is None else config.threshold,
        stop_fraction=config.stop_fraction,
        max_masks=min(config.max_masks or MASK_LIMIT, MASK_LIMIT),
        official_anchor=config.official_order,
    )
    scores, median_erased = soft_scores_batch(masks.similarity, masks.counts)
    labels, crf_erased = _refined_in_groups(
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


def _refined_in_groups(
    images: torch.Tensor,
    scores: torch.Tensor,
    counts: Sequence[int],
    config: ProposalConfig,
    max_pixels: int,
) -> tuple[torch.Tensor, list[bool]]:
    """`refined`, image by image the same, in groups of images whose rows of labels are equally long
    and fit the memory.
    """
    groups: dict[tuple[int, tuple[int, int]], list[int]] = {}
    for image, count in enumerate(counts):
        row = count + 1 + -(count + 1) % LABEL_MULTIPLE if count else 1
        groups.setdefault((row, crf_size(images.shape[1:3], count + 1, max_pixels)), []).append(
            image
        )
    result = torch.empty(images.shape[:3], dtype=torch.int64, device=images.device)
    erased = [False] * len(images)
    for (row, size), members in groups.items():
        most = max(1, _MAX_POSTERIOR // (row * size[0] * size[1]))
        for start in range(0, len(members), most):
            part = members[start : start + most]
            labels = [counts[image] + 1 for image in part]
            index = torch.tensor(part, device=images.device)
            result[index], lost = refined(
                images[index], scores[index, : max(labels)], labels, config, size
            )
            for image, is_lost in zip(part, lost, strict=True):
                erased[image] = is_lost
    return result, erased


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
    if not bool(torch.isfinite(torch.stack(features.aminmax())).all()):
        raise ConfigError(
            "Expected finite features, but got NaN or infinity. Check the backbone's weights and"
            " precision."
        )
