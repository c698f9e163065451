"""What the CRF starts from: median filter, background and log-probabilities at token resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_scores(
    similarity: Tensor, counts: tuple[int, ...], gain: float = 10.0
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of background and proposals of B images.

    3x3 median filter (reflecting border), saturation, background = what no mask claims, log-softmax
    over an image's maps. Nothing waits for the device.

    Args:
        similarity: (B, K, h, w) masks of `primaps.proposals.principal.PrincipalMasks`.
        counts: Number of proposals of each image.
        gain: Factor before clamping to [0, 1]; 10 saturates every similarity of a threshold above
            0.1.

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
    # every mask is thinner than the filter: keep them rather than lose the image
    erased = ~masks.flatten(1).any(dim=1) & own[:, 1:].any(dim=1)
    masks = torch.where(erased[:, None, None, None], unfiltered, masks)
    filled = (masks > 0).flatten(1).sum(dim=1)
    level = torch.where(filled > 0, masks.flatten(1).sum(dim=1) / filled.clamp_min(1), 1.0)
    background = (level[:, None, None] - masks.sum(dim=1)).clamp(0.0, 1.0)
    maps = torch.cat([background[:, None], masks], dim=1)
    beyond = ~own[:, :, None, None]
    return maps.masked_fill(beyond, -torch.inf).log_softmax(dim=1).masked_fill(beyond, 0.0), erased


def median_filter(masks: Tensor) -> Tensor:
    """3x3 median of (K, h, w) maps with a reflecting border; an axis of one token repeats its
    token.
    """
    if not len(masks):
        return masks
    padded = masks[None]
    for axis, padding in ((2, (0, 0, 1, 1)), (3, (1, 1, 0, 0))):
        padded = F.pad(padded, padding, mode="reflect" if padded.shape[axis] > 1 else "replicate")
    # Sort every column of three; the median of nine is the middle of the largest low, the middle
    # middle and the smallest high.
    low, middle, high = _sorted3(padded[0, :, :-2], padded[0, :, 1:-1], padded[0, :, 2:])
    parts = [
        _sorted3(part[..., :-2], part[..., 1:-1], part[..., 2:]) for part in (low, middle, high)
    ]
    return _sorted3(parts[0][2], parts[1][1], parts[2][0])[1]


def _sorted3(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Element-wise minimum, median and maximum of three; twenty times as fast as to sort
    windows.
    """
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)
