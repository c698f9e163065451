"""`mini`: a small network learned from unlabelled photographs by k-means, principal components and mean shift.

1. Exposure: lightness is brought to a common level (`equalise_exposure`).
2. Dictionary: at five scales every Lab patch is compared with 128 k-means centres of whitened patches and with their mirror
   images; the activations are the "triangle" ones of Coates, Lee & Ng (2011), max(0, mean distance - distance), added up over the
   two and averaged over 8 x 8 pixels. So mirroring an image only mirrors its features.
3. Context: 192 whitened principal components of their square roots, and means of these over 3, 7 and 15 cells.
4. Grouping: 64 components drift towards the cells of the same image that resemble them (mean shift, Comaniciu & Meer 2002), so
   that a region shares one vector. 320 whitened components and the position of the cell follow at a lower weight.

``tools/train_mini.py`` learns the weights; ``docs/mini.md`` is the model card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch
from torch.nn import functional as F

from primaps.errors import BackboneError
from primaps.features.cells import cell_position, window_mean
from primaps.features.colour import equalise_exposure, rgb_to_lab
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec
from primaps.features.weights import file_sha256, read_weights

BUNDLED_WEIGHTS: Final = Path(__file__).with_name("mini.safetensors")
CELL: Final = 8
GROUPED: Final = 64
"""Components that take part in the mean shift."""
DETAIL: Final = 320
"""Whitened components that do not."""
ROUNDS: Final = 4
TEMPERATURE: Final = 0.07
"""Of the affinity exp((cosine - 1) / temperature)."""
CONTEXT_WINDOWS: Final = (3, 7, 15)
"""Sides in cells."""

_DETAIL_WEIGHT: Final = 0.25
_POSITION_WEIGHT: Final = 2.0  # of the three position channels among the details
_GAIN: Final = 6.0  # gives features the norm at which prototypes and linear probes with usual learning rates do well
_AFFINITY_ENTRIES: Final = 2**19  # at a time: 2 MiB


@dataclass(frozen=True)
class Scale:
    """Which patches of the image pyramid a dictionary describes.

    Attributes:
        down: Downsampling of the image, a power of two.
        side: Side of the patch in downsampled pixels.
        stride: Step between patches in downsampled pixels.
    """

    down: int
    side: int
    stride: int

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """Left, right, top, bottom: one patch per step, centred on it."""
        beyond = (self.side - self.stride) // 2
        return beyond, beyond, beyond, beyond


SCALES: Final = (Scale(1, 6, 4), Scale(2, 6, 2), Scale(4, 5, 1), Scale(8, 5, 1), Scale(16, 5, 1))


class Dictionary(NamedTuple):
    """Whitening and k-means centres of the patches of one scale.

    Attributes:
        projection: (D, 3, side, side) float32: whitening as a convolution.
        offset: (D,) float32.
        centres: (K, D) float32, one of each pair of mirror images.
    """

    projection: torch.Tensor
    offset: torch.Tensor
    centres: torch.Tensor

    @property
    def mirror(self) -> torch.Tensor:
        """(D,) float32 signs: whitened patches times these are their mirror images, for every component is even or odd."""
        return (self.projection * self.projection.flip(-1)).sum(dim=(1, 2, 3)).sign()


class MiniBackbone(FrozenBackbone):
    """The bundled learned backbone; stride 8."""

    mirror_equivariant = True

    components: torch.Tensor
    components_mean: torch.Tensor
    metric: torch.Tensor
    metric_mean: torch.Tensor

    def __init__(self, spec: BackboneSpec, weights: Path = BUNDLED_WEIGHTS) -> None:
        """Read the weights.

        Args:
            spec: Registry entry.
            weights: Safetensors file written by ``tools/train_mini.py``.

        Raises:
            BackboneError: If the file cannot be read or is not a `mini`.
        """
        super().__init__(spec)
        state = read_weights(weights)
        self._weights_sha256 = file_sha256(weights)
        shapes = weight_shapes()
        if {name: tuple(value.shape) for name, value in state.items()} != shapes:
            raise BackboneError(
                f"Expected {weights} to hold the weights of 'mini' ({', '.join(shapes)}), but got {', '.join(state) or 'nothing'}"
                ", or other shapes. Train it with tools/train_mini.py, or leave --weights away for the bundled file."
            )
        for name, value in state.items():
            self.register_buffer(name, value.float(), persistent=False)

    def describe(self) -> Mapping[str, Any]:
        """As `FrozenBackbone.describe`, with the SHA-256 of the weights."""
        return {**super().describe(), "weights_sha256": self._weights_sha256}

    @property
    def dictionaries(self) -> list[Dictionary]:
        """One per scale."""
        return [Dictionary(*(getattr(self, f"{field}_{index}") for field in Dictionary._fields)) for index in range(len(SCALES))]

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        rgb = (batch * self._std[:, None, None] + self._mean[:, None, None]).clamp(0.0, 1.0)
        local = project(activations(rgb, self.dictionaries), self.components, self.components_mean)
        return group(project(with_context(local), self.metric, self.metric_mean))


def weight_shapes(patch_components: int = 64, centres: int = 128, components: int = 192) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all tensors of a weights file."""
    shapes: dict[str, tuple[int, ...]] = {}
    for index, scale in enumerate(SCALES):
        shapes[f"projection_{index}"] = (patch_components, 3, scale.side, scale.side)
        shapes[f"offset_{index}"] = (patch_components,)
        shapes[f"centres_{index}"] = (centres, patch_components)
    contexts = components * (1 + len(CONTEXT_WINDOWS))
    shapes["components"] = (components, centres * len(SCALES))
    shapes["components_mean"] = (centres * len(SCALES),)
    shapes["metric"] = (GROUPED + DETAIL, contexts)
    shapes["metric_mean"] = (contexts,)
    return shapes


def pyramid(rgb: torch.Tensor) -> list[torch.Tensor]:
    """Exposure-equalised Lab at every scale, padded so that a convolution gives one patch per step.

    Args:
        rgb: (N, 3, H, W) float32 in [0, 1]; H and W are multiples of 8.

    Returns:
        One (N, 3, H / down + padding, W / down + padding) float32 per entry of `SCALES`.
    """
    lab, down, levels = equalise_exposure(rgb_to_lab(rgb)), 1, []
    for scale in SCALES:
        while down < scale.down:
            lab, down = F.avg_pool2d(lab, 2, ceil_mode=True), 2 * down
        levels.append(F.pad(lab, scale.padding, mode="replicate"))
    return levels


def activations(rgb: torch.Tensor, dictionaries: Sequence[Dictionary]) -> torch.Tensor:
    """Square roots of the triangle activations of all scales (Coates, Lee & Ng 2011, section 3.2.2), averaged per cell.

    Args:
        rgb: (N, 3, H, W) float32 in [0, 1]; H and W are multiples of 8.
        dictionaries: One per entry of `SCALES`.

    Returns:
        (N, K * number of scales, H / 8, W / 8) float32.
    """
    grid = (rgb.shape[-2] // CELL, rgb.shape[-1] // CELL)
    pooled = []
    for scale, level, dictionary in zip(SCALES, pyramid(rgb), dictionaries, strict=True):
        patches = F.conv2d(level, dictionary.projection, dictionary.offset, stride=scale.stride)
        triangle = _triangle(patches, torch.cat([dictionary.centres, dictionary.centres * dictionary.mirror]), scale)
        if triangle.shape[-2:] != grid:
            triangle = F.interpolate(triangle, grid, mode="bilinear")
        pooled.append(triangle)
    return torch.cat(pooled, dim=1).sqrt_()


def _triangle(patches: torch.Tensor, centres: torch.Tensor, scale: Scale) -> torch.Tensor:
    """Triangle activations (N, K / 2, h, w) of (N, D, H, W) whitened patches, averaged over the patches of a cell."""
    distance = F.conv2d(patches, -2.0 * centres[:, :, None, None], centres.square().sum(dim=1))
    distance = distance.add_(patches.square().sum(dim=1, keepdim=True)).clamp_min_(0.0).sqrt_()
    triangle = distance.neg_().sub_(distance.mean(dim=1, keepdim=True)).clamp_min_(0.0)
    per_cell = CELL // (scale.down * scale.stride)
    triangle = F.avg_pool2d(triangle, per_cell) if per_cell > 1 else triangle
    centre, mirrored = triangle.chunk(2, dim=1)
    return centre + mirrored


def project(cells: torch.Tensor, rows: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Product rows @ (cells - mean) in every cell: (N, C, h, w), (D, C), (C,) -> (N, D, h, w), all float32."""
    return F.conv2d(cells, rows[:, :, None, None], -(rows @ mean))


def with_context(local: torch.Tensor) -> torch.Tensor:
    """The cells and their means over `CONTEXT_WINDOWS`: (N, C, h, w) -> (N, 4 C, h, w) float32."""
    return torch.cat([local, *(window_mean(local, side) for side in CONTEXT_WINDOWS)], dim=1)


def group(components: torch.Tensor) -> torch.Tensor:
    """Group similar cells and append details and position.

    Args:
        components: (N, 64 + 320, h, w) float32: what is grouped, and the whitened details.

    Returns:
        (N, 64 + 320 + 3, h, w) float32.
    """
    height, width = components.shape[-2:]
    grouped = mean_shift(components[:, :GROUPED], ROUNDS, TEMPERATURE)
    # Unit length first: where tokens drift far, their norm means nothing.
    grouped = F.normalize(grouped, dim=1) * (GROUPED + DETAIL) ** 0.5
    # Not x: mirroring an image only mirrors its features.
    position = _POSITION_WEIGHT * cell_position(height, width, components.device)[:, [0, 2, 3]]
    detail = torch.cat([components[:, GROUPED:], position.expand(len(components), -1, -1, -1)], dim=1)
    return _GAIN * torch.cat([grouped, _DETAIL_WEIGHT * detail], dim=1)


def mean_shift(cells: torch.Tensor, rounds: int, temperature: float) -> torch.Tensor:
    """Replace every cell by a mean over its image, weighted by exp((cosine - 1) / temperature), several times.

    The blurring mean shift of Cheng (1995) with a von Mises-Fisher kernel.

    Args:
        cells: (N, C, h, w) float32.
        rounds: How often.
        temperature: Positive.

    Returns:
        (N, C, h, w) float32. Memory grows with the number of cells, time with its square.
    """
    columns = max(16, _AFFINITY_ENTRIES // cells[:, 0].numel())
    tokens = cells.flatten(2)
    for _ in range(rounds):
        unit = F.normalize(tokens, dim=1)
        shifted = []
        for part in torch.split(unit, columns, dim=2):
            # exp((cosine - 1) / temperature) lies in (0, 1]: no maximum has to be subtracted.
            affinity = torch.baddbmm(part.new_tensor([-1.0 / temperature]), unit.mT, part, alpha=1.0 / temperature).exp_()
            shifted.append(torch.bmm(tokens, affinity).div_(affinity.sum(dim=1, keepdim=True)))
        tokens = torch.cat(shifted, dim=2)
    return tokens.view_as(cells)
