"""Arrays that the loops over the pixels of an image work on: tokens with their classes next to each
other, filled up to whole vectors, and where pixels lie between tokens.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from primaps.compute.compiling.functions import compiled
from primaps.prototypes.pixels import bilinear_taps, pixel_grid

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Lanes = tuple[int, ...]
Taps = tuple[Integers, Integers, Floats]
Ids = NDArray[np.uint8] | NDArray[np.int32] | Integers

LANES: Final[Lanes] = (0,) * 8
"""As long as a vector, see `primaps.compute.compiling.vectors`."""

PIXELS_AT_ONCE: Final = 64
"""Pixels whose logits are held at a time, and tokens that are laid out together."""

_PADDING: Final = np.float32(-1e30)
"""Logit of the classes that fill up a vector: the exponential is 0, and finite multiples of it stay
finite.
"""


class Tokens:
    """Logits of the tokens with their classes next to each other, and where pixels lie between
    tokens.

    Attributes:
        layout: Columns w of tokens, and classes per token after filling up.
        values: (h * w * classes per token,) float32 logits to base 2.
        vertical: Of the rows of pixels, see `taps`.
        horizontal: Of their columns.
    """

    def __init__(self, token_logits: Tensor, size: tuple[int, int], stride: int) -> None:
        """Lay the logits out.

        Args:
            token_logits: (K, h, w) float32 on the CPU.
            size: (H, W) of the image in pixels.
            stride: Pixel stride of the grid that the loops go through.
        """
        classes, height, width = token_logits.shape
        self.layout = width, -(-classes // len(LANES)) * len(LANES)
        self.values = np.empty(height * math.prod(self.layout), np.float32)
        _pack(self.values, token_logits.contiguous().view(classes, -1).numpy(), self.layout[1])
        self.vertical, self.horizontal = (
            taps(height, size[0], stride),
            taps(width, size[1], stride),
        )


@lru_cache(maxsize=64)
def taps(tokens: int, pixels: int, stride: int) -> Taps:
    """Where the pixels of the grid lie between tokens, along one axis, see `bilinear_taps`."""
    grid = pixel_grid(pixels, stride)
    lower, upper, weight = (
        values[grid].contiguous().numpy() for values in bilinear_taps(tokens, pixels)
    )
    return lower, upper, weight


def ids_array(proposals: Tensor) -> Ids:
    """Proposal ids as an array; for each number of bytes of an id loops are compiled that know it
    (argument ``kind``).
    """
    kept = (
        proposals
        if proposals.dtype in {torch.uint8, torch.int32, torch.int64}
        else proposals.long()
    )
    ids: Ids = kept.contiguous().numpy()
    return ids


@compiled
def _pack(values: Floats, token_logits: Floats, width: int) -> None:
    """From (classes, tokens) to one row of classes per token, filled up, with logarithms to base
    2.
    """
    (classes, tokens), factor = token_logits.shape, np.float32(1 / math.log(2))
    for first in range(0, tokens, PIXELS_AT_ONCE):
        last = min(tokens, first + PIXELS_AT_ONCE)
        for label in range(classes):
            for token in range(first, last):
                values[token * width + label] = token_logits[label, token] * factor
        for label in range(classes, width):
            for token in range(first, last):
                values[token * width + label] = _PADDING


@compiled
def unpack(token_logits: Floats, values: Floats, width: int) -> None:
    """From one row of ``width`` classes per token, as in `Tokens`, to (classes, tokens)."""
    classes, tokens = token_logits.shape
    for first in range(0, tokens, PIXELS_AT_ONCE):
        for label in range(classes):
            for token in range(first, min(tokens, first + PIXELS_AT_ONCE)):
                token_logits[label, token] = values[token * width + label]
