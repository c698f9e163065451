"""Square centre crops of photographs and label images, as benchmarks of unsupervised segmentation
frame them.

The short side is resized to the side of the square, the long one to ``int(side * long / short)``,
and the centre is cropped, with offsets rounded half to even. There are two ways to interpolate:

- ``pillow``: 8-bit values, bilinear with antialiasing; labels at the centre of the cell, index
  floor((i + 1/2) * scale) (Pillow's rounding decides where that is a whole number).
- ``tensor``: values in [0, 1], bilinear without antialiasing; labels at the corner of the cell,
  index floor(i * scale).

The official code of PriMaPs-EM (Hahn et al., TMLR 2024) frames training images in the first way and
validation images in the second one, because of the library that it was written with (torchvision
0.11).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional as F

from primaps.config import Interpolation
from primaps.errors import ConfigError
from primaps.types import Image


def resized(height: int, width: int, side: int) -> tuple[int, int]:
    """Size before the crop: the short side becomes ``side``, the aspect ratio is kept, the long
    side is rounded down.

    Args:
        height: In pixels.
        width: In pixels.
        side: Side of the square in pixels.

    Returns:
        (H', W') in pixels.

    Raises:
        ConfigError: If an argument is smaller than 1.

    Examples:
        >>> resized(1024, 2048, 320)
        (320, 640)
    """
    if min(height, width, side) < 1:
        raise ConfigError(
            f"Expected sizes of 1 or more pixels, but got an image of {height} x {width} and a side"
            f" of {side}."
        )
    short, long = sorted((height, width))
    long = int(side * long / short)
    return (side, long) if height <= width else (long, side)


def crop_image(image: Image, side: int) -> Image:
    """Centre crop of a photograph in the way ``pillow``.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Side of the square in pixels.

    Returns:
        (side, side, 3) uint8.
    """
    height, width = resized(image.shape[0], image.shape[1], side)
    picture = PILImage.fromarray(np.ascontiguousarray(image))
    if (height, width) != image.shape[:2]:
        picture = picture.resize((width, height), PILImage.Resampling.BILINEAR)
    result: Image = np.array(picture)[_centre(height, side), _centre(width, side)]
    return np.ascontiguousarray(result)


def crop_values(image: Image, interpolation: Interpolation, side: int) -> Tensor:
    """Centre crop of a photograph as values in [0, 1].

    Args:
        image: (H, W, 3) uint8 RGB.
        interpolation: "pillow" or "tensor".
        side: Side of the square in pixels.

    Returns:
        (3, side, side) float32.
    """
    if interpolation == "pillow":
        return torch.from_numpy(crop_image(image, side)).permute(2, 0, 1).float() / 255.0
    height, width = resized(image.shape[0], image.shape[1], side)
    values = torch.tensor(image).permute(2, 0, 1)[None].float() / 255.0
    values = F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)
    return values[0, :, _centre(height, side), _centre(width, side)].contiguous()


def crop_labels(
    labels: NDArray[np.int64], interpolation: Interpolation, side: int
) -> NDArray[np.int64]:
    """Centre crop of a label image.

    Args:
        labels: (H, W) int64 class ids 0..255.
        interpolation: "pillow" or "tensor"; says which pixel of a cell gives the label.
        side: Side of the square in pixels.

    Returns:
        (side, side) int64.
    """
    height, width = resized(labels.shape[0], labels.shape[1], side)
    ids = np.ascontiguousarray(labels, dtype=np.uint8)
    if interpolation == "pillow":
        taken = np.asarray(
            PILImage.fromarray(ids).resize((width, height), PILImage.Resampling.NEAREST)
        )
    else:
        taken = F.interpolate(
            torch.from_numpy(ids)[None, None], size=(height, width), mode="nearest"
        )[0, 0].numpy()
    return taken[_centre(height, side), _centre(width, side)].astype(np.int64)


def _centre(length: int, side: int) -> slice:
    start = round((length - side) / 2)
    return slice(start, start + side)
