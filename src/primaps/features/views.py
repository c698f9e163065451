"""The views of an image: mirrored or not, and the photometric augmentation that the student sees.

PriMaPs-EM (Hahn et al. 2024) shows the student a photometrically augmented image with unchanged
geometry. Every random number comes from an explicit generator.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch.nn import functional as F

from primaps.errors import ConfigError
from primaps.features.registry import IMAGENET_MEAN, IMAGENET_STD, Triple
from primaps.types import View

BLUR_KERNEL: Final = 21
BLUR_SIGMA: Final = (0.1, 2.0)
_NEGLIGIBLE: Final = 1e-9  # weight in the blur, relative to that of the pixel itself
JITTER: Final = 0.1
"""Strength of brightness, contrast, saturation and hue jitter."""
JITTER_BRANCH: Final = 0.5
"""Probability of the jitter branch; the other one may turn grey."""
JITTER_PROBABILITY: Final = 0.3
GREY_PROBABILITY: Final = 0.1


def photometric_view(
    batch: torch.Tensor,
    generator: torch.Generator,
    clamp_jitter: bool,
    mean: Triple = IMAGENET_MEAN,
    std: Triple = IMAGENET_STD,
) -> torch.Tensor:
    """Student augmentation of PriMaPs-EM, drawn for each image of the batch.

    Always a Gaussian blur (kernel 21, sigma uniform in [0.1, 2]; the kernel shrinks to what images
    under 11 pixels can be padded by). Then with probability 0.5 the jitter branch: with probability
    0.3, brightness, contrast and saturation factors uniform in [0.9, 1.1] and a hue shift uniform
    in [-0.1, 0.1], in random order. Otherwise, with probability 0.1, grey. So 15 % of the draws are
    jittered and 5 % grey.

    Args:
        batch: (N, 3, H, W) float32, normalised.
        generator: CPU generator; the only source of randomness.
        clamp_jitter: True = colours change on the *normalised* values, as in the official code,
            whose jitter clamps to [0, 1]: everything darker than the mean turns into the mean.
            False = on de-normalised colours in [0, 1].
        mean: Per-channel mean of the normalisation.
        std: Per-channel standard deviation of the normalisation.

    Returns:
        (N, 3, H, W) float32, normalised.

    Raises:
        ConfigError: If the batch is not (N, 3, H, W).
    """
    _check_batch(batch)
    return torch.cat(
        [_augment(image, generator, clamp_jitter, mean, std) for image in batch.unsqueeze(1)]
    )


def make_views(
    batch: torch.Tensor,
    views: Sequence[View],
    seed: int,
    clamp_jitter: bool,
    mean: Triple,
    std: Triple,
) -> torch.Tensor:
    """All views of one image.

    Each photometric draw has its own generator, seeded from ``seed`` and the view: the result for a
    view does not depend on which other views are asked for.

    Args:
        batch: (1, 3, H, W) float32, normalised, not mirrored.
        views: Which views.
        seed: Of this image.
        clamp_jitter: See `photometric_view`.
        mean: Per-channel mean of the normalisation.
        std: Per-channel standard deviation of the normalisation.

    Returns:
        (V, 3, H, W) float32, in the order of ``views``.

    Raises:
        ConfigError: If the batch is not (1, 3, H, W) or ``views`` is empty.
    """
    _check_batch(batch)
    if len(batch) != 1 or not views:
        raise ConfigError(
            f"Expected one image and at least one view, but got {len(batch)} images and"
            f" {len(views)} views."
        )
    made = []
    for view in views:
        image = batch.flip(-1) if view.flip else batch
        if view.photometric is not None:
            image = photometric_view(image, _generator(seed, view), clamp_jitter, mean, std)
        made.append(image)
    return torch.cat(made)


def _check_batch(batch: torch.Tensor) -> None:
    if batch.ndim != 4 or batch.shape[1] != 3 or not batch.is_floating_point():
        raise ConfigError(
            f"Expected a floating-point batch of shape (N, 3, H, W), but got {batch.dtype}"
            f" {tuple(batch.shape)}."
        )


def _generator(seed: int, view: View) -> torch.Generator:
    digest = hashlib.sha256(f"{seed} {int(view.flip)} {view.photometric}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def uniform(generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """One random number."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def _augment(
    image: torch.Tensor, generator: torch.Generator, clamp_jitter: bool, mean: Triple, std: Triple
) -> torch.Tensor:
    image = _blur(image, uniform(generator, *BLUR_SIGMA))
    jitter = uniform(generator) < JITTER_BRANCH
    if uniform(generator) >= (JITTER_PROBABILITY if jitter else GREY_PROBABILITY):
        return image
    if clamp_jitter:
        return _recolour(image, generator, jitter)
    return on_real_colours(image, mean, std, lambda colours: _recolour(colours, generator, jitter))


def on_real_colours(
    image: torch.Tensor, mean: Triple, std: Triple, change: Callable[[torch.Tensor], torch.Tensor]
) -> torch.Tensor:
    """Apply a change of colours in [0, 1] to a normalised image.

    Args:
        image: (3, H, W) float32, normalised.
        mean: Per-channel mean of the normalisation.
        std: Per-channel standard deviation of the normalisation.
        change: Of a (3, H, W) image in [0, 1].
    """
    offset, scale = (image.new_tensor(values)[:, None, None] for values in (mean, std))
    return (change((image * scale + offset).clamp(0.0, 1.0)) - offset) / scale


def _blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of a (1, 3, H, W) image, along columns and then along rows; reflected at the
    border.
    """
    for axis in (2, 3):
        length = image.shape[axis]
        reach = min(BLUR_KERNEL // 2, length - 1)
        padded = F.pad(
            image, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0), mode="reflect"
        )
        weights = [
            math.exp(-0.5 * (distance / sigma) ** 2) for distance in range(-reach, reach + 1)
        ]
        image = torch.zeros_like(image)
        for start, weight in enumerate(weights):
            if weight > _NEGLIGIBLE:
                image.add_(padded.narrow(axis, start, length), alpha=weight / sum(weights))
    return image


def _recolour(image: torch.Tensor, generator: torch.Generator, jitter: bool) -> torch.Tensor:
    from torchvision.transforms import functional

    if not jitter:
        grey: torch.Tensor = functional.rgb_to_grayscale(image, num_output_channels=3)
        return grey
    return jitter_colours(image, generator, JITTER, JITTER)


def jitter_colours(
    image: torch.Tensor, generator: torch.Generator, strength: float, hue: float
) -> torch.Tensor:
    """Change brightness, contrast, saturation and hue in random order.

    Args:
        image: (3, H, W) float32; values are clamped to [0, 1].
        generator: CPU generator.
        strength: Factors of the first three are uniform in [1 - strength, 1 + strength].
        hue: Shift of the hue, uniform in [-hue, hue], in turns.
    """
    from torchvision.transforms import functional

    changes = (
        (functional.adjust_brightness, uniform(generator, 1.0 - strength, 1.0 + strength)),
        (functional.adjust_contrast, uniform(generator, 1.0 - strength, 1.0 + strength)),
        (functional.adjust_saturation, uniform(generator, 1.0 - strength, 1.0 + strength)),
        (functional.adjust_hue, uniform(generator, -hue, hue)),
    )
    for index in torch.randperm(len(changes), generator=generator).tolist():
        change, amount = changes[index]
        image = change(image, amount)
    return image
