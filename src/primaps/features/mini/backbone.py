"""`mini`: a small network learned from unlabelled photographs by k-means, principal components and
mean shift.

1. Exposure: lightness is brought to a common level (`equalise_exposure`).
2. Dictionary: at five scales every Lab patch is compared with 128 k-means centres of whitened
   patches and with their mirror images; the activations are the "triangle" ones of Coates, Lee & Ng
   (2011), max(0, mean distance - distance), added up over the two and averaged over 8 x 8 pixels.
   So mirroring an image only mirrors its features.
3. Context: 192 whitened principal components of their square roots, and means of these over 3, 7
   and 15 cells.
4. Grouping: 64 components drift towards the cells of the same image that resemble them (mean shift,
   Comaniciu & Meer 2002), so that a region shares one vector. 320 whitened components and the
   position of the cell follow at a lower weight.

What takes long is in `primaps.features.mini.plain`, and on a CPU in loops that do the same
(`primaps.features.mini.compiled`). ``tools/train_mini.py`` learns the weights; ``docs/mini.md`` is
the model card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import torch
from torch.nn import functional as F

from primaps.compute.compiling.twins import Twins
from primaps.errors import BackboneError
from primaps.features.cells import cell_position, window_mean
from primaps.features.colour import equalise_exposure, rgb_to_lab
from primaps.features.extractor import FrozenBackbone
from primaps.features.levels import refuse_levels
from primaps.features.mini import plain
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
# gives features the norm at which prototypes and linear probes with usual learning rates do well
_GAIN: Final = 6.0


class CostlyParts(Protocol):
    """What `primaps.features.mini.plain` and `primaps.features.mini.compiled` both offer."""

    def triangle(self, patches: torch.Tensor, centres: torch.Tensor, per_cell: int) -> torch.Tensor:
        """Triangle activations of patches, averaged over cells."""

    def mean_shift(self, cells: torch.Tensor, rounds: int, temperature: float) -> torch.Tensor:
        """Cells moved towards those of their image that resemble them."""


def _compiled() -> CostlyParts:
    from primaps.features.mini import compiled

    return compiled


PATHS: Final = Twins[CostlyParts](plain, _compiled, "Features of 'mini' are computed")
"""Where the costly parts are; ``PATHS.plain_only()`` forces the plain path."""


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
        """(D,) float32 signs: whitened patches times these are their mirror images, for every
        component is even or odd.
        """
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
                f"Expected {weights} to hold the weights of 'mini' ({', '.join(shapes)}), but got"
                f" {', '.join(state) or 'nothing'}, or other shapes. Train it with"
                " tools/train_mini.py, or leave --weights away for the bundled file."
            )
        for name, value in state.items():
            self.register_buffer(name, value.float(), persistent=False)

    def describe(self) -> Mapping[str, Any]:
        """As `FrozenBackbone.describe`, with the SHA-256 of the weights."""
        return {**super().describe(), "weights_sha256": self._weights_sha256}

    @property
    def dictionaries(self) -> list[Dictionary]:
        """One per scale."""
        return [
            Dictionary(*(getattr(self, f"{field}_{index}") for field in Dictionary._fields))
            for index in range(len(SCALES))
        ]

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        rgb = (batch * self._std[:, None, None] + self._mean[:, None, None]).clamp(0.0, 1.0)
        local = project(activations(rgb, self.dictionaries), self.components, self.components_mean)
        return group(project(with_context(local), self.metric, self.metric_mean))


def load(spec: BackboneSpec, weights: Path | None, levels: str | None) -> MiniBackbone:
    """The backbone of the registry entry ``mini``, with the bundled weights unless others are
    given.

    Raises:
        BackboneError: If the weights file cannot be read or is not a `mini`.
        ConfigError: If levels are given.
    """
    refuse_levels(levels, spec.name)
    return MiniBackbone(spec, weights or BUNDLED_WEIGHTS)


def weight_shapes(
    patch_components: int = 64, centres: int = 128, components: int = 192
) -> dict[str, tuple[int, ...]]:
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
    """Square roots of the triangle activations of all scales (Coates, Lee & Ng 2011, section
    3.2.2), averaged per cell.

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
        per_cell = max(1, CELL // (scale.down * scale.stride))
        both = torch.cat([dictionary.centres, dictionary.centres * dictionary.mirror])
        triangle = PATHS.on(rgb.device).triangle(patches, both, per_cell)
        if triangle.shape[-2:] != grid:
            triangle = F.interpolate(triangle, grid, mode="bilinear")
        pooled.append(triangle)
    return torch.cat(pooled, dim=1).sqrt_()


def project(cells: torch.Tensor, rows: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Product rows @ (cells - mean) in every cell: (N, C, h, w), (D, C), (C,) -> (N, D, h, w), all
    float32.
    """
    images, _, height, width = cells.shape
    offset = (rows @ mean)[:, None].expand(images, -1, height * width)
    return torch.baddbmm(offset, rows.expand(images, -1, -1), cells.flatten(2), beta=-1.0).view(
        images, -1, height, width
    )


def with_context(local: torch.Tensor) -> torch.Tensor:
    """The cells and their means over `CONTEXT_WINDOWS`: (N, C, h, w) -> (N, 4 C, h, w) float32."""
    means = torch.stack([window_mean(local, side) for side in CONTEXT_WINDOWS], dim=1)
    return torch.cat([local, means.flatten(1, 2)], dim=1)


def group(components: torch.Tensor) -> torch.Tensor:
    """Group similar cells and append details and position.

    Args:
        components: (N, 64 + 320, h, w) float32: what is grouped, and the whitened details.

    Returns:
        (N, 64 + 320 + 3, h, w) float32.
    """
    images, channels, height, width = components.shape
    grouped = PATHS.on(components.device).mean_shift(components[:, :GROUPED], ROUNDS, TEMPERATURE)
    # Not x: mirroring an image only mirrors its features.
    position = cell_position(height, width, components.device)[:, [0, 2, 3]]
    result = components.new_empty(images, channels + position.shape[1], height, width)
    # Unit length first: where tokens drift far, their norm means nothing.
    torch.mul(
        F.normalize(grouped, dim=1), _GAIN * (GROUPED + DETAIL) ** 0.5, out=result[:, :GROUPED]
    )
    torch.mul(components[:, GROUPED:], _GAIN * _DETAIL_WEIGHT, out=result[:, GROUPED:channels])
    result[:, channels:] = _GAIN * _DETAIL_WEIGHT * _POSITION_WEIGHT * position
    return result
