"""The costly parts of `mini` in torch, for every device; `primaps.features.mini.compiled` does the
same on the CPU.
"""

from __future__ import annotations

from typing import Final

import torch
from torch.nn import functional as F

_AFFINITY_ENTRIES: Final = 2**19  # at a time: 2 MiB


def triangle(patches: torch.Tensor, centres: torch.Tensor, per_cell: int) -> torch.Tensor:
    """Triangle activations (Coates, Lee & Ng 2011, section 3.2.2), averaged over the patches of a
    cell.

    Args:
        patches: (N, D, H, W) float32 whitened patches.
        centres: (K, D) float32; the second half are the mirror images of the first.
        per_cell: Side of a cell in patches; both sides are multiples of it.

    Returns:
        (N, K / 2, H / per_cell, W / per_cell) float32, of every centre and its mirror image
        together.
    """
    distance = F.conv2d(patches, -2.0 * centres[:, :, None, None], centres.square().sum(dim=1))
    distance = distance.add_(patches.square().sum(dim=1, keepdim=True)).clamp_min_(0.0).sqrt_()
    found = distance.neg_().sub_(distance.mean(dim=1, keepdim=True)).clamp_min_(0.0)
    found = F.avg_pool2d(found, per_cell) if per_cell > 1 else found
    centre, mirrored = found.chunk(2, dim=1)
    return centre + mirrored


def mean_shift(cells: torch.Tensor, rounds: int, temperature: float) -> torch.Tensor:
    """Replace every cell by a mean over its image, weighted by exp((cosine - 1) / temperature),
    several times.

    The blurring mean shift of Cheng (1995) with a von Mises-Fisher kernel.

    Args:
        cells: (N, C, h, w) float32.
        rounds: How often.
        temperature: Positive.

    Returns:
        (N, C, h, w) float32. Memory grows with the number of cells, time with its square.
    """
    columns = max(16, _AFFINITY_ENTRIES // cells[:, 0].numel())
    tokens = cells.flatten(2)
    for _ in range(rounds):
        unit = F.normalize(tokens, dim=1)
        shifted = []
        for part in torch.split(unit, columns, dim=2):
            # exp((cosine - 1) / temperature) lies in (0, 1]: no maximum has to be subtracted.
            affinity = torch.baddbmm(
                part.new_tensor([-1.0 / temperature]), unit.mT, part, alpha=1.0 / temperature
            ).exp_()
            shifted.append(torch.bmm(tokens, affinity).div_(affinity.sum(dim=1, keepdim=True)))
        tokens = torch.cat(shifted, dim=2)
    return tokens.view_as(cells)
