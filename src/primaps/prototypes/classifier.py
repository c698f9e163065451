"""Class prototypes: the linear classifier, its label maps, and its initialisation by principal
components.

Prototypes are a bias-free linear head on frozen features (Hahn et al., TMLR 2024, section 3.2),
weight-normalised as in Salimans & Kingma (2016). Because the head is linear and has no bias it
commutes with bilinear upsampling, so K-channel logits at token resolution are all that ever needs
to be upsampled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import ConfigError, DatasetError
from primaps.prototypes.pixels import bilinear_taps

STRIP_ELEMENTS: Final = 4_000_000
"""Floats in one strip of full-size logits while a label map is made (16 MB)."""


@dataclass(frozen=True)
class Prototypes:
    """Weight-normalised class prototypes.

    Attributes:
        scale: (K,) float32, the length g of every prototype.
        direction: (K, C) float32, its direction v; any norm.
    """

    scale: Tensor
    direction: Tensor

    def effective(self) -> Tensor:
        """(K, C) float32 weights ``g * v / |v|`` of the linear head; differentiable."""
        return self.scale[:, None] * F.normalize(self.direction, dim=1)


def logits(features: Tensor, prototypes: Tensor, *, cosine: bool = False) -> Tensor:
    """Class logits of every token.

    Args:
        features: (N, C, h, w) or (C, h, w) floating point.
        prototypes: (K, C) float32.
        cosine: Cosine similarities (the k-means baseline) instead of inner products with raw
            features (EM).

    Returns:
        (N, K, h, w) or (K, h, w) float32.

    Raises:
        ConfigError: If the number of channels differs.
    """
    check_channels(features, prototypes)
    tokens = features.float().flatten(-2)
    if cosine:
        # Dividing K logits by the feature norm is cheaper than normalising C channels, and
        # gradients reach the prototypes alike.
        products = F.normalize(prototypes, dim=1) @ tokens
        products = products / tokens.norm(dim=-2, keepdim=True).clamp_min(1e-12)
    else:
        products = prototypes @ tokens
    return products.view(*products.shape[:-1], *features.shape[-2:])


def check_channels(features: Tensor, prototypes: Tensor) -> None:
    """Refuse features that the prototypes do not fit.

    Raises:
        ConfigError: If the number of channels or of dimensions differs.
    """
    if features.ndim not in {3, 4} or features.shape[-3] != prototypes.shape[-1]:
        raise ConfigError(
            f"Expected features to be (N, C, h, w) or (C, h, w) with C = {prototypes.shape[-1]}"
            f" channels as the prototypes have, but got {tuple(features.shape)}. Use the backbone"
            " that the prototypes were fitted on."
        )


@torch.no_grad()
def label_map_from_logits(token_logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Upsample logits bilinearly and take the best class per pixel, holding only a strip of
    full-size logits at a time.

    Equal to ``F.interpolate(token_logits[None], size, mode="bilinear")[0].argmax(0)``; the smallest
    class id wins ties.

    Args:
        token_logits: (K, h, w) float32 logits at token resolution.
        size: (H, W) of the label map in pixels.

    Returns:
        (H, W) int64 cluster ids.
    """
    labels = torch.empty(size, dtype=torch.int64, device=token_logits.device)
    for part, strip in full_size_strips(token_logits, size):
        # the first one on ties, as argmax, and several times faster
        labels[part] = strip.max(0).indices
    return labels


def full_size_strips(token_logits: Tensor, size: tuple[int, int]) -> Iterator[tuple[slice, Tensor]]:
    """Logits upsampled bilinearly, a strip of rows at a time.

    Args:
        token_logits: (K, h, w) float32 logits at token resolution.
        size: (H, W) to upsample to, in pixels.

    Yields:
        Rows of the strip, and its (K, rows, W) float32 logits.
    """
    (num_classes, height, _), (rows, columns) = token_logits.shape, size
    lower, upper, weight = bilinear_taps(height, rows, token_logits.device)
    step = max(1, STRIP_ELEMENTS // (num_classes * columns))
    for start in range(0, rows, step):
        part = slice(start, start + step)
        first, last = int(lower[part][0]), int(upper[part][-1])
        # Columns first, rows second: the order of operations of F.interpolate, so that the strips
        # round as one piece does.
        wide = F.interpolate(
            token_logits[None, :, first : last + 1],
            size=(last + 1 - first, columns),
            mode="bilinear",
            align_corners=False,
        )[0]
        strip = wide[:, lower[part] - first] * (1.0 - weight[part, None])
        strip += wide[:, upper[part] - first] * weight[part, None]
        yield part, strip


class FeatureMoments:
    """Streamed count, mean and scatter matrix of tokens, in float64 (Chan, Golub & LeVeque 1983).

    Attributes:
        count: Number of tokens seen.
        mean: (C,) float64.
        scatter: (C, C) float64, sum over tokens of the outer product of the centred token with
            itself.
    """

    def __init__(self, channels: int) -> None:
        """Start without tokens.

        Args:
            channels: C.
        """
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64)
        self.scatter = torch.zeros(channels, channels, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Add all tokens of one feature map, see `measure`."""
        self.merge(self.measure(features))

    def measure(self, features: Tensor) -> FeatureMoments:
        """Moments of the tokens of one feature map alone.

        Args:
            features: (C, h, w) floating point, on the CPU.

        Raises:
            DatasetError: If the number of channels differs, or a value is not finite.
        """
        if features.ndim != 3 or features.shape[0] != len(self.mean):
            raise DatasetError(
                f"Expected features to be ({len(self.mean)}, h, w), but got"
                f" {tuple(features.shape)}."
            )
        tokens = features.flatten(1).double()
        found = FeatureMoments(len(self.mean))
        found.count, found.mean = tokens.shape[1], tokens.mean(1)
        if not bool(torch.isfinite(found.mean).all()):
            raise DatasetError(
                "Expected features to be finite, but got NaN or infinity. Extract the features"
                " again."
            )
        centred = tokens.sub_(found.mean[:, None])
        found.scatter = centred @ centred.T
        return found

    def merge(self, other: FeatureMoments) -> None:
        """Add the tokens that other moments were taken of."""
        shift = other.mean - self.mean
        total = self.count + other.count
        self.scatter += other.scatter + torch.outer(shift, shift) * (
            self.count * other.count / total
        )
        self.mean += shift * (other.count / total)
        self.count = total

    def to_tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Count, mean and scatter matrix, as `from_tensors` takes them."""
        return torch.tensor(self.count), self.mean, self.scatter

    @classmethod
    def from_tensors(cls, count: Tensor, mean: Tensor, scatter: Tensor) -> FeatureMoments:
        """The inverse of `to_tensors`."""
        moments = cls(len(mean))
        moments.count, moments.mean, moments.scatter = int(count), mean, scatter
        return moments

    def rms_norm(self) -> float:
        """Root mean square Euclidean norm of the tokens; 0 without tokens."""
        return math.sqrt(
            float(self.scatter.trace()) / max(1, self.count) + float(self.mean.square().sum())
        )


def principal_directions(
    moments: FeatureMoments, num_directions: int, generator: torch.Generator
) -> Tensor:
    """First principal directions of the tokens: the initial prototypes.

    The sign of a principal direction is arbitrary; here its component of largest magnitude is
    positive (the first such component). With more prototypes than channels the negated directions
    follow, then random ones.

    Args:
        moments: Streamed moments of the tokens.
        num_directions: K.
        generator: Source of the random directions, used only if K > 2 C.

    Returns:
        (K, C) float32 unit vectors, by descending variance.
    """
    _, vectors = torch.linalg.eigh(moments.scatter)
    directions = vectors.T.flip(0)
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    directions = directions * largest.sign()
    missing = num_directions - 2 * len(directions)
    if num_directions > len(directions):
        directions = torch.cat([directions, -directions])
    if missing > 0:
        random = torch.randn(missing, directions.shape[1], dtype=torch.float64, generator=generator)
        directions = torch.cat([directions, F.normalize(random, dim=1)])
    initial: Tensor = directions[:num_directions].float().contiguous()
    return initial
