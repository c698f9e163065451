"""What the CRF starts from, for many images at once: median filter, background and
log-probabilities.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.proposals.principal import median_filter


def soft_scores_batch(
    similarity: Tensor, counts: tuple[int, ...], gain: float = 10.0
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of background and proposals of B images:
    `primaps.proposals.principal.soft_scores`.

    Args:
        similarity: (B, K, h, w) masks of `MaskBatch`.
        counts: Number of proposals of each image.
        gain: See there.

    Returns:
        (B, K + 1, h, w) float32 log-probabilities, background first, 0 beyond an image's own
        number; and (B,) bool where the median erased all masks, which were therefore kept as they
        are.
    """
    size = similarity.shape[1]
    unfiltered = (similarity * gain).clamp(0.0, 1.0)
    masks = (median_filter(similarity.flatten(0, 1)) * gain).clamp(0.0, 1.0).view_as(similarity)
    own = (
        torch.arange(size + 1, device=similarity.device)
        <= torch.tensor(counts, device=similarity.device)[:, None]
    )
    erased = ~masks.flatten(1).any(dim=1) & own[:, 1:].any(dim=1)
    masks = torch.where(erased[:, None, None, None], unfiltered, masks)
    filled = (masks > 0).flatten(1).sum(dim=1)
    level = torch.where(filled > 0, masks.flatten(1).sum(dim=1) / filled.clamp_min(1), 1.0)
    background = (level[:, None, None] - masks.sum(dim=1)).clamp(0.0, 1.0)
    maps = torch.cat([background[:, None], masks], dim=1)
    beyond = ~own[:, :, None, None]
    return maps.masked_fill(beyond, -torch.inf).log_softmax(dim=1).masked_fill(beyond, 0.0), erased
