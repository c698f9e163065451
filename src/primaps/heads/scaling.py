"""Features brought to the scale that published learning rates and initial weights are made for.

Channels of DINO's last block have values around 1. Levels of unit length have values around 0.1,
beside which the biases of a head weigh as much as what its weights make of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from primaps.heads.crops import TrainingCrops

_SAMPLED: Final = 100


class ScaledCrops:
    """Training crops whose features are multiplied by a number.

    Attributes:
        dim: C.
        scale: The number.
    """

    def __init__(self, crops: TrainingCrops, scale: float) -> None:
        """Take the crops; nothing is read yet.

        Args:
            crops: Training crops.
            scale: What their features are multiplied by.
        """
        self._crops, self.scale, self.dim = crops, scale, crops.dim

    def __len__(self) -> int:
        """Number of crops."""
        return len(self._crops)

    def features(self, indices: Sequence[int]) -> Tensor:
        """(n, C, h, w) float32 scaled features of some crops."""
        return self._crops.features(indices) * self.scale

    def augmented(self, indices: Sequence[int], generator: torch.Generator) -> Tensor:
        """(n, C, h, w) float32 scaled features of augmented versions of them."""
        return self._crops.augmented(indices, generator) * self.scale

    def local_weights(self, indices: Sequence[int]) -> Tensor:
        """(n, 9, h, w) float32, as they are."""
        return self._crops.local_weights(indices)

    def descriptors(self) -> Tensor:
        """(N, C) float32 scaled pooled features of all crops."""
        return self._crops.descriptors() * self.scale


def unit_scale(crops: TrainingCrops) -> float:
    """What features have to be multiplied by for a root mean square of 1 over all channels.

    Args:
        crops: Training crops, of which up to 100, evenly spread, are read.

    Returns:
        The number; 1 if all features are zero.
    """
    step = -(-len(crops) // _SAMPLED)
    squares = [
        float(crops.features([index]).double().square().mean())
        for index in range(0, len(crops), step)
    ]
    mean = sum(squares) / len(squares)
    return 1.0 if mean == 0.0 else mean**-0.5
