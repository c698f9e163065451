"""What a head sees in training: square crops of photographs (Hamilton et al., ICLR 2022, appendix;
HP uses the same).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

import numpy as np
import torch

from primaps.errors import ConfigError
from primaps.features.preprocess import MAX_ASPECT
from primaps.types import Image

_FILTERS: Final = ("nearest", "bilinear")


@dataclass(frozen=True)
class CropConfig:
    """Which part of a photograph becomes a training crop.

    Attributes:
        mode: "five" = top left, top right, bottom left, bottom right and centre; "whole" = the
            photograph itself.
        fraction: Side of each of the five, relative to the photograph's.
        resolution: The short side is resized to so many pixels (rounded to a multiple of the
            patch), and the central square kept.
        resample: "nearest" as in the official code, or "bilinear" (anti-aliased).
    """

    mode: Literal["five", "whole"] = "five"
    fraction: float = 0.5
    resolution: int = 224
    resample: Literal["nearest", "bilinear"] = "nearest"

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: If a value is out of range.
        """
        if self.mode not in {"five", "whole"} or self.resample not in _FILTERS:
            raise ConfigError(
                "Expected mode five or whole and resample nearest or bilinear, but got"
                f" {self.mode!r} and {self.resample!r}."
            )
        if not 0.0 < self.fraction <= 1.0 or self.resolution < 1:
            raise ConfigError(
                "Expected a fraction in (0, 1] and a resolution of 1 or more, but got"
                f" {self.fraction} and {self.resolution}."
            )

    @property
    def per_image(self) -> int:
        """Crops per photograph."""
        return 5 if self.mode == "five" else 1

    def side(self, multiple: int) -> int:
        """Side of a crop in pixels: the resolution, rounded to the nearest multiple that the
        backbone's inputs need.
        """
        return max(1, (2 * self.resolution + multiple) // (2 * multiple)) * multiple


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class TrainingCrops(Protocol):
    """Random access to the crops that a head is trained on, in a fixed order; all have one token
    grid.
    """

    dim: int

    def __len__(self) -> int:
        """Number of crops."""
        ...

    def features(self, indices: Sequence[int]) -> torch.Tensor:
        """(n, C, h, w) float32 frozen features of some crops, on the training device."""
        ...

    def augmented(self, indices: Sequence[int], generator: torch.Generator) -> torch.Tensor:
        """(n, C, h, w) float32 features of photometrically augmented versions of them."""
        ...

    def local_weights(self, indices: Sequence[int]) -> torch.Tensor:
        """(n, 9, h, w) float32, see `primaps.heads.local_positives.local_weights`."""
        ...

    def descriptors(self) -> torch.Tensor:
        """(N, C) float32 pooled features of all crops."""
        ...


def crop_boxes(height: int, width: int, config: CropConfig) -> list[Box]:
    """The crops of a photograph in order.

    Args:
        height: Of the photograph in pixels.
        width: Likewise.
        config: Which crops.
    """
    if config.mode == "whole":
        return [Box(0, 0, height, width)]
    rows, columns = max(1, int(height * config.fraction)), max(1, int(width * config.fraction))
    bottom, right = height - rows, width - columns
    corners = [
        (0, 0),
        (0, right),
        (bottom, 0),
        (bottom, right),
        (round(bottom / 2), round(right / 2)),
    ]
    return [Box(top, left, rows, columns) for top, left in corners]


def cut(image: Image, box: Box, side: int, resample: str) -> Image:
    """One crop: the box, its short side resized, the central square of it.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: Part of it.
        side: Of the result in pixels.
        resample: "nearest" or "bilinear".

    Returns:
        (side, side, 3) uint8.
    """
    from PIL import Image as PILImage

    part = PILImage.fromarray(
        np.ascontiguousarray(image[box.top : box.top + box.height, box.left : box.left + box.width])
    )
    short = min(box.height, box.width)
    size = (max(side, side * box.width // short), max(side, side * box.height // short))
    filter_ = PILImage.Resampling.NEAREST if resample == "nearest" else PILImage.Resampling.BILINEAR
    left, top = round((size[0] - side) / 2), round((size[1] - side) / 2)
    if max(box.height, box.width) <= MAX_ASPECT * short:
        return np.asarray(part.resize(size, filter_).crop((left, top, left + side, top + side)))
    # A long strip: only what is kept of it is resized, the same but for rounding, since all of it
    # may not fit the memory.
    across, down = box.width / size[0], box.height / size[1]
    kept = (left * across, top * down, (left + side) * across, (top + side) * down)
    return np.asarray(part.resize((side, side), filter_, box=kept))
