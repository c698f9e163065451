"""Colour of images in perceptual units."""

from __future__ import annotations

import math
from typing import Final

import torch

RGB_TO_XYZ: Final = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
"""Of linear sRGB, relative to the D65 white point."""

_USUAL_LIGHTNESS: Final = 0.5
_USUAL_CONTRAST: Final = 0.25


def rgb_to_lab(rgb: torch.Tensor) -> torch.Tensor:
    """CIELAB colour (CIE 1976, D65), each channel divided by 100.

    Args:
        rgb: (N, 3, H, W) float32 sRGB in [0, 1].

    Returns:
        (N, 3, H, W) float32; L in [0, 1], a and b roughly in [-1, 1].
    """
    linear = torch.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = torch.einsum("ij,njhw->nihw", torch.tensor(RGB_TO_XYZ, device=rgb.device), linear)
    root = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root.unbind(dim=1)
    return torch.stack([1.16 * y - 0.16, 5.0 * (x - y), 2.0 * (y - z)], dim=1)


def equalise_exposure(lab: torch.Tensor) -> torch.Tensor:
    """Bring the lightness of every image to a common mean and, within limits, a common contrast.

    A power of the lightness brings its mean to about 1/2, as a longer or shorter exposure would;
    then deviations from the mean are multiplied by 0.6 to 1.7. Hue and chroma stay.

    Args:
        lab: (N, 3, H, W) float32 as `rgb_to_lab` returns it.

    Returns:
        (N, 3, H, W) float32.
    """
    lightness = lab[:, :1].clamp(1e-4, 1.0)
    mean = lightness.mean(dim=(2, 3), keepdim=True).clamp(0.1, 0.9)
    lightness = lightness ** (math.log(_USUAL_LIGHTNESS) / mean.log())
    mean = lightness.mean(dim=(2, 3), keepdim=True)
    spread = (lightness - mean).square().mean(dim=(2, 3), keepdim=True).sqrt()
    gain = (_USUAL_CONTRAST / spread.clamp_min(1e-4)).clamp(0.6, 1.7)
    return torch.cat([mean + (lightness - mean) * gain, lab[:, 1:]], dim=1)
