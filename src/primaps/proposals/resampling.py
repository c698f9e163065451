"""Images and maps at other sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def fraction(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) times a factor of at most 1; no side vanishes."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def shrink(pixels: torch.Tensor, max_pixels: int) -> torch.Tensor:
    """(H, W, 3) uint8 image of at most ``max_pixels`` pixels."""
    size = limited_size((pixels.shape[0], pixels.shape[1]), max_pixels)
    return pixels if size == pixels.shape[:2] else reduced(pixels[None], size)[0]


def reduced(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, H, W, 3) uint8 images at a (height, width) that is not larger."""
    if size == (pixels.shape[1], pixels.shape[2]):
        return pixels
    planes = pixels.permute(0, 3, 1, 2)
    # for integers there is no GPU kernel
    small = F.interpolate(planes.float(), size=size, mode="bilinear", antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def limited_size(size: tuple[int, int], max_pixels: int) -> tuple[int, int]:
    """The largest (height, width) of the same shape with at most ``max_pixels`` pixels; never
    larger than ``size``.
    """
    height, width = size
    if height * width <= max_pixels:
        return size
    scale = (max_pixels / (height * width)) ** 0.5
    short, long = sorted((max(1, int(height * scale)), max(1, int(width * scale))))
    long = min(long, max_pixels // short)  # a strip whose short side was held at 1
    return (short, long) if height <= width else (long, short)


def enlarge_nearest(labels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(..., h, w) ids resampled to (..., height, width): each pixel takes the id of the cell that
    its centre lies in.
    """
    rows = (torch.arange(height, device=labels.device) * 2 + 1) * labels.shape[-2] // (2 * height)
    columns = (torch.arange(width, device=labels.device) * 2 + 1) * labels.shape[-1] // (2 * width)
    return labels[..., rows, :][..., columns]


def upsampled(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N, M, h, w) maps at another (height, width), bilinear, pixel centres aligned."""
    return (
        maps
        if maps.shape[2:] == size
        else F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    )
