"""Grids of cells: means over square windows, and where a cell lies in the image."""

from __future__ import annotations

import math

import torch


def window_mean(cells: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over the square window around every cell; at the border over the part inside the grid.

    Args:
        cells: (..., h, w) float32.
        side: Side of the window in cells, odd.

    Returns:
        (..., h, w) float32.
    """
    height, width = cells.shape[-2:]
    # The mean over a square is a mean along columns and one along rows; as products they beat
    # pooling by far on a CPU.
    return _averaging(height, side, cells.device) @ cells @ _averaging(width, side, cells.device).T


def cell_position(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Low-order position of cell centres, each of unit variance over a large grid.

    Returns:
        (1, 4, height, width) float32: y, x, y^2, x^2.
    """
    y = ((torch.arange(height, device=device) + 0.5) / height * 2.0 - 1.0)[:, None].expand(
        height, width
    )
    x = ((torch.arange(width, device=device) + 0.5) / width * 2.0 - 1.0)[None, :].expand(
        height, width
    )
    linear, quadratic = math.sqrt(3.0), math.sqrt(11.25)
    return torch.stack(
        [linear * y, linear * x, quadratic * (y * y - 1 / 3), quadratic * (x * x - 1 / 3)]
    )[None]


def _averaging(count: int, side: int, device: torch.device) -> torch.Tensor:
    """(count, count) matrix whose row i averages the entries within side // 2 of i."""
    index = torch.arange(count, device=device)
    inside = ((index[:, None] - index).abs() <= side // 2).float()
    return inside / inside.sum(dim=1, keepdim=True)
