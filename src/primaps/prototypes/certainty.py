"""How certain the prototypes are of a class: the difference of the two largest class probabilities.

Of the teacher, before any CRF: 1 = one class alone, 0 = two classes equally likely. Logits are
upsampled first and turned into probabilities second, as for label maps.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.prototypes.classifier import full_size_strips


@torch.no_grad()
def certainty(logits: Tensor) -> Tensor:
    """Certainty of every place of a grid.

    Args:
        logits: (K, h, w) float32, K at least 2.

    Returns:
        (h, w) float32 in [0, 1].
    """
    # topk over the classes is several times slower
    first, best = logits.max(dim=0)
    second = logits.scatter(0, best[None], -torch.inf).amax(dim=0)
    total = logits.logsumexp(dim=0)
    return (first - total).exp() - (second - total).exp()


@torch.no_grad()
def certainty_map(token_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Certainty of every pixel, holding only a strip of full-size logits at a time.

    Args:
        token_logits: (K, h, w) float32 logits at token resolution.
        size: (H, W) of the map in pixels.

    Returns:
        (H, W) float32 in [0, 1].
    """
    found = torch.empty(size, dtype=torch.float32, device=token_logits.device)
    for part, strip in full_size_strips(token_logits, size):
        found[part] = certainty(strip)
    return found
