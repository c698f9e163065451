"""Local hidden positives of HP (Seong et al., CVPR 2023): codes mixed with those of attended
neighbours.

Pure functions of tensors.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURHOOD: Final = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))
"""Offsets (rows, columns) of the 3 x 3 neighbourhood, the token itself in the middle."""
QUANTILES: Final = (0.1, 0.9)
_ROWS: Final = 512  # torch.quantile takes 16 million values at most


def local_weights(attention: Tensor, grid: tuple[int, int]) -> Tensor:
    """How much of each neighbour's code goes into a token's mixed code.

    Per row: attention is clamped to its 10 % and 90 % quantiles, goes through a softmax times the
    side of the grid (the root of its number of tokens), and counts 0 below the row's mean; of what
    remains the 3 x 3 neighbourhood is kept and divided by the number of neighbours inside the grid
    (9, 6 or 4).

    Args:
        attention: (h * w, h * w) float, queries in rows, mean over the heads, without prefix
            tokens.
        grid: (h, w).

    Returns:
        (9, h, w) float32, in the order of `NEIGHBOURHOOD`; 0 outside the grid.
    """
    height, width = grid
    parts = []
    for start in range(0, height * width, _ROWS):
        rows = attention[start : start + _ROWS].float()
        low, high = torch.quantile(
            rows, torch.tensor(QUANTILES, device=rows.device), dim=1, keepdim=True
        )
        weights = rows.clamp(low, high).softmax(1) * math.sqrt(height * width)
        weights = weights.masked_fill(weights < weights.mean(1, keepdim=True), 0.0)
        numbers, inside = _neighbours(
            torch.arange(start, start + len(rows), device=rows.device), grid
        )
        kept = weights.gather(1, numbers) * inside
        parts.append(kept / inside.sum(1, keepdim=True))
    return torch.cat(parts).T.reshape(len(NEIGHBOURHOOD), height, width)


def _neighbours(tokens: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(n, 9) numbers of the neighbours (clamped into the grid) of n tokens, and (n, 9) whether they
    lie inside the grid.
    """
    height, width = grid
    offsets = torch.tensor(NEIGHBOURHOOD, device=tokens.device)
    rows = (tokens // width)[:, None] + offsets[:, 0]
    columns = (tokens % width)[:, None] + offsets[:, 1]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    return rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1), inside


def mix(code: Tensor, weights: Tensor) -> Tensor:
    """Sum of the neighbours' codes by their weights; differentiable in the code.

    Args:
        code: (N, D, h, w) float.
        weights: (N, 9, h, w) as `local_weights` gives them.

    Returns:
        (N, D, h, w).
    """
    height, width = code.shape[2:]
    padded = F.pad(code, (1, 1, 1, 1))
    mixed = torch.zeros_like(code)
    for number, (row, column) in enumerate(NEIGHBOURHOOD):
        shifted = padded[:, :, 1 + row : 1 + row + height, 1 + column : 1 + column + width]
        mixed = mixed + shifted * weights[:, number : number + 1]
    return mixed
