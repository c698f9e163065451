"""From an image of any size to the normalised input of a backbone."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch

from primaps.config import MAX_SIZE
from primaps.errors import ConfigError
from primaps.given import whole_number
from primaps.pictures import as_image
from primaps.types import ImageLike

MAX_ASPECT: Final = 8
"""Inputs are at most this many times longer than the short side's target; longer images are
squashed to it.
"""


def input_size(height: int, width: int, size: int, multiple: int) -> tuple[int, int]:
    """Size of the backbone's input for an image of a given size.

    The short side becomes ``size`` and the aspect ratio is kept, up to `MAX_ASPECT`: a 1 x 10000
    strip becomes ``size`` x ``8 * size``, so that it stays affordable. Then each side is rounded to
    the nearest multiple that the backbone needs (halves go up), at least one. Small images are
    enlarged, nothing is ever cropped. Integer arithmetic throughout.

    Args:
        height: Image height in pixels.
        width: Image width in pixels.
        size: Target of the short side in pixels.
        multiple: What the backbone's inputs are multiples of, in pixels: its ``input_multiple``.

    Returns:
        (H', W') in pixels, multiples of ``multiple``.

    Raises:
        ConfigError: If an argument is smaller than 1, or ``size`` is larger than 4096 or no whole
            number.

    Examples:
        >>> input_size(360, 480, size=320, multiple=8)
        (320, 424)
        >>> input_size(360, 480, size=320, multiple=14)
        (322, 420)
        >>> input_size(1, 10000, size=320, multiple=8)
        (320, 2560)
    """
    if whole_number("size", size) > MAX_SIZE:
        raise ConfigError(f"Expected size to be at most {MAX_SIZE} pixels, but got {size}.")
    for name, value in (
        ("height", height),
        ("width", width),
        ("size", size),
        ("multiple", multiple),
    ):
        if value < 1:
            raise ConfigError(f"Expected {name} to be 1 or more pixels, but got {value}.")
    short = min(height, width)

    def rounded(side: int) -> int:
        side = min(side, MAX_ASPECT * short)
        parts = (2 * side * size + short * multiple) // (2 * short * multiple)
        return max(1, parts) * multiple

    return rounded(height), rounded(width)


def image_to_input(
    image: ImageLike,
    size: tuple[int, int],
    mean: torch.Tensor,
    std: torch.Tensor,
    device: torch.device,
) -> torch.Tensor:
    """Resize (anti-aliased bilinear, as Pillow does on 8-bit images) and normalise one image.

    Args:
        image: Anything that `primaps.pictures.as_image` takes.
        size: (H', W') of the result in pixels.
        mean: (3,) float32 subtracted from values in [0, 1].
        std: (3,) float32 divided by.
        device: Where the result goes.

    Returns:
        (1, 3, H', W') float32.

    Raises:
        ImageError: If it is no image.
    """
    from PIL import Image as PILImage

    array = as_image(image)
    if array.shape[:2] != size:
        resized = PILImage.fromarray(np.ascontiguousarray(array)).resize(
            (size[1], size[0]), PILImage.Resampling.BILINEAR
        )
        array = np.asarray(resized)
    values = torch.from_numpy(np.array(array)).to(device).permute(2, 0, 1)[None].float() / 255.0
    normalised: torch.Tensor = (values - mean.to(device)[:, None, None]) / std.to(device)[
        :, None, None
    ]
    return normalised.contiguous()
