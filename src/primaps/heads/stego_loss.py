"""Correspondence loss of STEGO (Hamilton et al., ICLR 2022, section 4): codes shall resemble each
other where features do.

Pure functions of tensors; every random number is drawn by the caller or from an explicit generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import ConfigError

STABLE_LIMIT: Final = 0.8
"""Code correlations above it earn nothing more when the loss is stabilised."""
_EPSILON: Final = 1e-10


@dataclass(frozen=True)
class CorrespondenceTerms:
    """Means of the correspondence loss over the three kinds of pairs.

    Attributes:
        itself: () pairs of places in one image.
        neighbour: () pairs of an image and one of its nearest neighbours.
        random: () pairs of an image and other images of the batch.
    """

    itself: Tensor
    neighbour: Tensor
    random: Tensor


@dataclass(frozen=True)
class Switches:
    """Variants of the loss, and the feature correlation from which on pairs attract each other.

    Attributes:
        shift_self: b of pairs within an image.
        shift_neighbour: b of pairs with a neighbour.
        shift_random: b of pairs with a random image.
        pointwise: Feature correlations are centred at every place first ("spatial centering").
        zero_clamp: Negative code correlations count 0 ("zero clamping").
        stabilize: Code correlations above 0.8 count 0.8.
    """

    shift_self: float
    shift_neighbour: float
    shift_random: float
    pointwise: bool = True
    zero_clamp: bool = True
    stabilize: bool = False


def sample_at(maps: Tensor, coordinates: Tensor) -> Tensor:
    """Bilinear samples of feature maps at given places.

    Args:
        maps: (N, C, h, w) float.
        coordinates: (N, S, S, 2) float in [-1, 1], (x, y); -1 and 1 are the centres of the
            outermost tokens.

    Returns:
        (N, C, S, S). As in the official code the two sample axes are swapped, which no loss depends
        on.
    """
    grid = coordinates.transpose(1, 2)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=True)


def correlation(first: Tensor, second: Tensor) -> Tensor:
    """Cosine similarity of every place of one map with every place of another.

    Args:
        first: (N, C, ...) float with P places.
        second: (N, C, ...) float with Q places.

    Returns:
        (N, P, Q).
    """
    unit = [F.normalize(values.flatten(2), dim=1, eps=_EPSILON) for values in (first, second)]
    return unit[0].transpose(1, 2) @ unit[1]


def correspondence_loss(
    features: tuple[Tensor, Tensor], codes: tuple[Tensor, Tensor], shift: float, switches: Switches
) -> Tensor:
    """Loss of every pair of places, differentiable in the codes only.

    Args:
        features: Of the two images, (N, C, S, S) each.
        codes: Of the two images, (N, D, S, S) each.
        shift: b, the feature correlation above which a pair attracts.
        switches: Variant of the loss.

    Returns:
        (N, S * S, S * S).
    """
    with torch.no_grad():
        target = correlation(*features)
        if switches.pointwise:
            mean = target.mean()
            target = target - target.mean(dim=2, keepdim=True)
            target = target - target.mean() + mean
    found = correlation(*codes)
    if switches.stabilize:
        found = found.clamp(0.0 if switches.zero_clamp else None, STABLE_LIMIT)
    elif switches.zero_clamp:
        found = found.clamp_min(0.0)
    return -found * (target - shift)


def correspondence_terms(
    plain: tuple[Tensor, Tensor],
    positive: tuple[Tensor, Tensor],
    coordinates: tuple[Tensor, Tensor],
    permutations: Tensor,
    switches: Switches,
) -> CorrespondenceTerms:
    """The three means that STEGO weighs and adds up.

    Args:
        plain: Features (N, C, h, w) and code (N, D, h, w) of the images.
        positive: The same of one nearest neighbour of each.
        coordinates: Two sets of places, (N, S, S, 2) each: of the first and of the second image of
            a pair.
        permutations: (R, N) int64: R times for every image the number of another image of the
            batch.
        switches: Variant of the loss.
    """
    here, there = coordinates
    features, code = (sample_at(maps, here) for maps in plain)
    positive_features, positive_code = (sample_at(maps, there) for maps in positive)
    negative = []
    for order in permutations:
        other_features, other_code = (sample_at(maps[order], there) for maps in plain)
        losses = correspondence_loss(
            (features, other_features), (code, other_code), switches.shift_random, switches
        )
        negative.append(losses.mean())
    itself = correspondence_loss((features, features), (code, code), switches.shift_self, switches)
    neighbour = correspondence_loss(
        (features, positive_features), (code, positive_code), switches.shift_neighbour, switches
    )
    return CorrespondenceTerms(itself.mean(), neighbour.mean(), torch.stack(negative).mean())


def draw_coordinates(count: int, samples: int, generator: torch.Generator) -> Tensor:
    """(count, samples, samples, 2) float32 places, uniform in [-1, 1]; on the CPU."""
    return torch.rand(count, samples, samples, 2, generator=generator) * 2 - 1


def draw_permutation(count: int, generator: torch.Generator) -> Tensor:
    """For every image of a batch the number of another one; numbers may repeat.

    A random permutation in which every fixed point is replaced by the next number, as in the
    official code.

    Args:
        count: Size of the batch, 2 or more.
        generator: On the CPU.

    Returns:
        (count,) int64 without fixed points.

    Raises:
        ConfigError: If there are fewer than two images.
    """
    if count < 2:
        raise ConfigError(
            f"Expected a batch of two or more images to draw negative pairs from, but got {count}."
        )
    order = torch.randperm(count, generator=generator)
    order[order == torch.arange(count)] += 1
    return order % count
