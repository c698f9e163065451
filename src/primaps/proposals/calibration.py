"""A similarity threshold for features of which none is published, found without labels.

The lower the threshold, the fewer and larger the proposals. Of a row of candidates the one is taken
that decomposes a sample of images into a typical number of proposals, as the published thresholds
do, without losing much of their area to fragments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.compute.forked import check_fork
from primaps.errors import ConfigError
from primaps.proposals.layout import as_grid
from primaps.proposals.principal import principal_masks
from primaps.proposals.soft_scores import median_filter
from primaps.types import ThresholdChoice, ThresholdStatistics

CANDIDATES: Final = tuple(step / 100 for step in range(20, 100, 5))
TYPICAL: Final = 12.0
"""Proposals per image that are aimed at: what published thresholds give on photographs, 6 to 17 in
the median.
"""
ENOUGH: Final = 0.75
"""Fraction of the tokens that proposals shall cover; what the median filter erases is fragments."""

_TOO_MANY: Final = 2 * TYPICAL
"""Median number of proposals from which on higher thresholds are not tried: they give more still.
"""
_MOST: Final = round(4 * TYPICAL)
"""Rounds of the decomposition of an image; where there are more, their exact number does not
matter.
"""


def calibrate_threshold(
    features: Sequence[torch.Tensor | NDArray[np.floating]],
    *,
    stop_fraction: float = 0.95,
    official_anchor: bool = False,
) -> ThresholdChoice:
    """Choose a similarity threshold for a sample of images, see `choose_threshold`.

    Args:
        features: (C, h, w) finite float features of each image, sizes may differ; 16 images are
            enough.
        stop_fraction: Of the decomposition, see `primaps.proposals.principal.principal_masks`.
        official_anchor: Likewise.

    Returns:
        The threshold (``value``) and what it was chosen from. The same for the same images in any
        order.

    Raises:
        ConfigError: If there is no image, or features have another shape or are not finite.

    Examples:
        >>> generator = torch.Generator().manual_seed(0)
        >>> calibrate_threshold([torch.randn(8, 6, 6, generator=generator)]).source
        'calibrated'
    """
    check_fork()
    grids = [as_grid(each) for each in features]
    if not grids:
        raise ConfigError(
            "Expected features of at least one image to calibrate the threshold on, but got none."
        )
    for grid in grids:
        if not bool(grid.isfinite().all()):
            raise ConfigError("Expected finite features, but got NaN or infinity.")
    tried: list[ThresholdStatistics] = []
    for threshold in CANDIDATES:
        found = [
            _masks(grid.detach().float(), threshold, stop_fraction, official_anchor=official_anchor)
            for grid in grids
        ]
        proposals = float(np.median([number for number, _ in found]))
        coverage = math.fsum(share for _, share in found) / len(found)
        tried.append(ThresholdStatistics(threshold, proposals, round(coverage, 4)))
        if proposals >= _TOO_MANY or coverage < ENOUGH <= max(each.coverage for each in tried):
            break
    return ThresholdChoice(choose_threshold(tried), "calibrated", tuple(tried))


def choose_threshold(candidates: Sequence[ThresholdStatistics]) -> float:
    """The rule: among the candidates that cover `ENOUGH`, the one whose number of proposals is
    closest to `TYPICAL`.

    Close is meant by ratio; of those that are as close the highest is taken, whose proposals are
    the purest. If none covers enough, the one that covers most.

    Args:
        candidates: At least one, by increasing threshold.
    """
    covering = [each for each in reversed(candidates) if each.coverage >= ENOUGH]
    if not covering:
        return max(candidates, key=lambda each: each.coverage).threshold
    return min(
        covering, key=lambda each: abs(math.log(max(each.proposals, 0.5) / TYPICAL))
    ).threshold


def _masks(
    features: torch.Tensor, threshold: float, stop_fraction: float, *, official_anchor: bool
) -> tuple[int, float]:
    """Number of masks of one image that the median filter leaves, and the fraction of its tokens
    that they hold.
    """
    masks = principal_masks(
        features[None],
        threshold,
        stop_fraction=stop_fraction,
        max_masks=_MOST,
        official_anchor=official_anchor,
    ).similarity[0]
    if not len(masks):
        return 0, 0.0
    held = median_filter(masks) > 0
    return int(held.flatten(1).any(dim=1).sum()), float(held.any(dim=0).float().mean())
