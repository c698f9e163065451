"""Grids of features as callers give them: as tensors, and with their channels first, as far as an
image can tell.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch

from primaps.errors import ConfigError

FEW: Final = 4
"""Cells of the shorter side from which on the aspect ratio of a grid is looked at."""


def check_channels_first(name: str, shape: tuple[int, ...], image: tuple[int, int]) -> None:
    """Refuse (h, w, C) where (C, h, w) is expected.

    Told by the aspect ratio: the first two axes have that of the image, up to rounding, and that of
    the last two is another one by more than a factor of two. Grids of few cells tell nothing.

    Args:
        name: Of the grid, for the message.
        shape: Its shape, three axes.
        image: (H, W) of the image.

    Raises:
        ConfigError: If the channels are last.

    Examples:
        >>> check_channels_first("features", (384, 40, 53), (480, 640))
    """
    wanted, leading, trailing = (
        math.log(max(1, one) / max(1, two)) for one, two in (image, shape[:2], shape[1:])
    )
    cells = min(shape[:2])
    if cells >= FEW and abs(leading - wanted) <= 2 / cells and abs(trailing - wanted) > math.log(2):
        one, two, three = shape
        raise ConfigError(
            f"Expected {name} of shape (C, h, w), channels first, but got {shape}, which looks like"
            f" (h, w, C). Give {name}.transpose(2, 0, 1), or {name}.permute(2, 0, 1) of a torch"
            f" tensor: ({three}, {one}, {two})."
        )


def as_grid(features: object) -> torch.Tensor:
    """Features as a tensor.

    Args:
        features: (C, h, w) floating point, a torch tensor or a NumPy array, which is copied.

    Raises:
        ConfigError: If they are something else.
    """
    expected = (
        "Expected features of shape (C, h, w) and a float dtype, as a torch tensor or a NumPy"
        " array, but got"
    )
    if isinstance(features, torch.Tensor):
        grid = features.to_dense() if features.is_sparse else features
        if grid.is_meta or grid.is_nested:
            raise ConfigError(f"{expected} a tensor without values or of several shapes.")
    elif not isinstance(features, np.ndarray):
        raise ConfigError(f"{expected} {type(features).__name__}.")
    elif features.dtype.kind != "f":
        raise ConfigError(f"{expected} {features.shape} {features.dtype}.")
    else:
        kept = {2: np.float16, 4: np.float32}.get(features.dtype.itemsize, np.float64)
        grid = torch.from_numpy(np.array(features, dtype=kept, order="C"))
    if grid.ndim != 3 or not grid.is_floating_point() or not grid.numel():
        raise ConfigError(f"{expected} {tuple(grid.shape)} {grid.dtype}.")
    return grid
