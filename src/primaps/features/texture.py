"""Hand-made features: statistics of colour, gradients and position. Nothing is learned.

The baseline that every learned backbone has to beat, and what runs where nothing can be downloaded.
Per 8 x 8 cell, and over windows of 1, 3, 7 and 15 cells around it: mean, spread and soft histogram
of CIELAB colour, and the energy of oriented gradients, of the Laplacian and of chroma gradients at
three scales. Constants measured on natural photographs make every channel roughly zero-mean, so
that cosine similarities spread over both signs, and the norm of a feature is about sqrt(C).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import torch
from torch.nn import functional as F

from primaps.errors import BackboneError
from primaps.features.cells import cell_position, window_mean
from primaps.features.colour import rgb_to_lab
from primaps.features.extractor import FrozenBackbone
from primaps.features.levels import refuse_levels
from primaps.features.registry import BackboneSpec
from primaps.features.texture_table import TABLE

CELL: Final = 8
WINDOWS: Final = (1, 3, 7, 15)
"""Window sides in cells."""
SCALES: Final = 3
"""Gradients are taken at full, half and quarter resolution."""
HISTOGRAMS: Final = ((0.0, 1.0), (-0.15, 0.25), (-0.25, 0.25))
"""Centres of the first and last of `HISTOGRAM_BINS` triangular bins of L, a, b in the units of
`rgb_to_lab`.
"""
HISTOGRAM_BINS: Final = 7

# Set by hand, comparing some ten settings by cosine k-means on CamVid (training and validation
# frames).
_GAINS: Final = {
    "mean": 2.0,
    "spread": 0.7,
    "oriented": 0.35,
    "laplacian": 0.5,
    "chroma": 0.5,
    "histogram": 0.7,
}
_POSITION_GAIN: Final = 2.0
_WINDOW_GAINS: Final = (0.7, 1.0, 1.0, 0.7)
# makes the root mean square of a channel 1 over the photographs that TABLE was measured on
_NORM: Final = 1.48
_CLIP: Final = 3.0  # standard deviations
_SPREAD_FLOOR: Final = 0.01
_ENERGY_FLOOR: Final = 0.003


class TextureBackbone(FrozenBackbone):
    """Colour, gradient and position statistics at stride 8."""

    _offset: torch.Tensor
    _deviation: torch.Tensor
    _gain: torch.Tensor

    def __init__(self, spec: BackboneSpec) -> None:
        """Set up the fixed constants.

        Args:
            spec: Registry entry of ``texture``.
        """
        super().__init__(spec)
        offset = torch.tensor([means for _, means, _ in TABLE])
        deviation = torch.tensor([deviations for _, _, deviations in TABLE])
        gain = torch.tensor([_GAINS[name.partition(" ")[0]] for name, _, _ in TABLE])[
            :, None
        ] * torch.tensor(_WINDOW_GAINS)
        for name, values in (
            ("_offset", offset),
            ("_deviation", deviation),
            ("_gain", _NORM * gain),
        ):
            self.register_buffer(name, values[:, :, None, None], persistent=False)

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        rgb = (batch * self._std[:, None, None] + self._mean[:, None, None]).clamp(0.0, 1.0)
        standard = ((statistics(rgb) - self._offset) / self._deviation).clamp(
            -_CLIP, _CLIP
        ) * self._gain
        position = (
            _POSITION_GAIN
            * _NORM
            * cell_position(standard.shape[-2], standard.shape[-1], batch.device)
        )
        return torch.cat(
            [standard.flatten(1, 2), position.expand(batch.shape[0], -1, -1, -1)], dim=1
        )


def load(spec: BackboneSpec, weights: Path | None, levels: str | None) -> TextureBackbone:
    """The backbone of the registry entry ``texture``.

    Raises:
        BackboneError: If a weights file is given.
        ConfigError: If levels are given.
    """
    refuse_levels(levels, spec.name)
    if weights is not None:
        raise BackboneError(
            f"Expected no weights file for {spec.name!r}, which has no weights, but got {weights}."
        )
    return TextureBackbone(spec)


def statistics(rgb: torch.Tensor) -> torch.Tensor:
    """Colour and gradient statistics before standardisation.

    Args:
        rgb: (N, 3, H, W) float32 in [0, 1]; H and W are multiples of 8.

    Returns:
        (N, 48, 4, H / 8, W / 8) float32: maps in the order of
        `primaps.features.texture_table.TABLE`, by window.
    """
    pyramid = [rgb_to_lab(rgb)]
    for _ in range(SCALES - 1):
        pyramid.append(F.avg_pool2d(pyramid[-1], 2))
    mean = F.avg_pool2d(pyramid[0], CELL)
    square = F.avg_pool2d(pyramid[0].square(), CELL)
    spread = (_windows(square) - _windows(mean).square()).clamp_min(0.0).sqrt()
    energies = [_energies(lab, CELL >> scale) for scale, lab in enumerate(pyramid)]
    energy = torch.cat([torch.cat(kind, dim=1) for kind in zip(*energies, strict=True)], dim=1)
    return torch.cat(
        [
            _windows(mean),
            torch.log(spread + _SPREAD_FLOOR),
            torch.log(_windows(energy) + _ENERGY_FLOOR),
            _windows(_histogram(pyramid[1])).clamp_min(0.0).sqrt(),
        ],
        dim=1,
    )


def _energies(lab: torch.Tensor, cell: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean absolute response per cell: gradient along 4 directions, Laplacian, gradients of a and
    b.
    """
    padded = F.pad(lab, (1, 1, 1, 1), mode="replicate")
    across = padded[..., :, 2:] - padded[..., :, :-2]
    along = padded[..., 2:, :] - padded[..., :-2, :]
    dx = (across[..., :-2, :] + 2.0 * across[..., 1:-1, :] + across[..., 2:, :]) / 8.0
    dy = (along[..., :-2] + 2.0 * along[..., 1:-1] + along[..., 2:]) / 8.0
    gx, gy = dx[:, :1], dy[:, :1]
    oriented = torch.cat(
        [gx, math.sqrt(0.5) * (gx + gy), gy, math.sqrt(0.5) * (gx - gy)], dim=1
    ).abs()
    laplacian = (lab[:, :1] - F.avg_pool2d(padded[:, :1], 3, stride=1)).abs()
    chroma = dx[:, 1:].abs() + dy[:, 1:].abs()
    return F.avg_pool2d(oriented, cell), F.avg_pool2d(laplacian, cell), F.avg_pool2d(chroma, cell)


def _histogram(lab: torch.Tensor) -> torch.Tensor:
    """Soft histogram per cell, from Lab at half resolution: (N, 21, h, w), triangular bins."""
    bins = []
    for channel, (first, last) in enumerate(HISTOGRAMS):
        centres = torch.linspace(first, last, HISTOGRAM_BINS, device=lab.device)[:, None, None]
        width = (last - first) / (HISTOGRAM_BINS - 1)
        bins.append(
            F.avg_pool2d(
                (1.0 - (lab[:, channel : channel + 1] - centres).abs() / width).clamp_min(0.0),
                CELL // 2,
            )
        )
    return torch.cat(bins, dim=1)


def _windows(cells: torch.Tensor) -> torch.Tensor:
    """Means over square windows of cells; at the border over the part inside the image. (N, B, h,
    w) -> (N, B, 4, h, w).
    """
    pooled = [window_mean(cells, side) for side in WINDOWS]
    return torch.stack(pooled, dim=2)
