"""Linear probe: what a linear classifier that is shown labels can read off frozen features.

One 1x1 convolution with bias, trained by Adam on the cross-entropy: the supervised measure that
unsupervised segmentation reports beside its own scores (Hamilton et al., ICLR 2022; Hahn et al.,
TMLR 2024). They take the cross-entropy of upsampled logits at all pixels. Here it is taken at
tokens, each with the label at the centre of its cell, so that no full-size logits are ever held.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from primaps.errors import ConfigError, DatasetError
from primaps.types import IGNORE_INDEX

STEPS: Final = 600
BATCH_SIZE: Final = 4096
LEARNING_RATE: Final = 5e-3


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier on features.

    Attributes:
        weight: (K, C) float32.
        bias: (K,) float32.
    """

    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Class logits of every token; the classifier commutes with bilinear upsampling, so
        upsample these.

        Args:
            features: (C, h, w) or (N, C, h, w) floating point, on the device of the probe.

        Returns:
            (K, h, w) or (N, K, h, w) float32.

        Raises:
            ConfigError: If the number of channels differs.
        """
        channels = self.weight.shape[1]
        if features.ndim not in {3, 4} or features.shape[-3] != channels:
            raise ConfigError(
                f"Expected features to be (C, h, w) or (N, C, h, w) with C = {channels} as the"
                f" probe was fitted to, but got {tuple(features.shape)}. Use the backbone that the"
                " probe was fitted on."
            )
        products = self.weight @ features.float().flatten(-2) + self.bias[:, None]
        return products.view(*products.shape[:-1], *features.shape[-2:])


def fit_linear_probe(
    tokens: Tensor,
    labels: Tensor,
    num_classes: int,
    *,
    steps: int = STEPS,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
    seed: int = 0,
    ignore_index: int = IGNORE_INDEX,
) -> LinearProbe:
    """Fit a linear probe to tokens that are held in memory.

    Deterministic: the start and every draw (with replacement, from the labelled tokens) come from
    ``seed`` alone.

    Args:
        tokens: (N, C) floating point; float16 is enough and is widened batch by batch.
        labels: (N,) integer class ids 0..num_classes-1, or ``ignore_index``: never drawn.
        num_classes: K.
        steps: Adam steps.
        batch_size: Tokens drawn per step.
        learning_rate: Of Adam, constant.
        seed: Of start and draws.
        ignore_index: Label of tokens without a class.

    Raises:
        ConfigError: If shapes do not fit or a setting is out of range.
        DatasetError: If no token is labelled, a label is out of range, or tokens are not finite.
    """
    if tokens.ndim != 2 or labels.shape != tokens.shape[:1]:
        raise ConfigError(
            f"Expected tokens (N, C) and labels (N,), but got {tuple(tokens.shape)} and"
            f" {tuple(labels.shape)}. Give one label per token; token_labels makes them from a"
            " label image."
        )
    if steps < 1 or batch_size < 1:
        raise ConfigError(
            f"Expected steps and batch_size to be 1 or more, but got {steps} and {batch_size}."
        )
    generator = torch.Generator().manual_seed(seed)
    start = initial_probe(tokens.shape[1], num_classes, generator)
    batches = _drawn(tokens, labels, steps, batch_size, generator, ignore_index)
    return fit_linear_probe_to_batches(batches, start, learning_rate=learning_rate)


def fit_linear_probe_to_batches(
    batches: Iterable[tuple[Tensor, Tensor]],
    start: LinearProbe,
    *,
    learning_rate: float = LEARNING_RATE,
) -> LinearProbe:
    """Fit a linear probe to a stream of tokens, such as features read from a store image by image:
    one Adam step per batch.

    The stream decides about order, number of steps and repetition; only one batch is held at a
    time.

    Args:
        batches: Tokens (n, C) floating point and their labels (n,) integer class ids, unlabelled
            tokens left out, n > 0.
        start: Where the fit begins, see `initial_probe`; left as it is. The fit runs on the device
            of the batches.
        learning_rate: Of Adam, constant.

    Raises:
        ConfigError: If a batch has other shapes, or the learning rate is not positive.
        DatasetError: If there is no batch, one is empty, a label is out of range, or tokens are not
            finite.
    """
    if not learning_rate > 0:
        raise ConfigError(f"Expected learning_rate to be positive, but got {learning_rate}.")
    weight, bias, optimiser = start.weight, start.bias, None
    for tokens, labels in batches:
        _check_batch(tokens, labels, start)
        if optimiser is None:  # the first batch tells the device
            weight, bias = (
                value.detach().clone().to(tokens.device).requires_grad_()
                for value in (weight, bias)
            )
            optimiser = torch.optim.Adam([weight, bias], lr=learning_rate)
        loss = F.cross_entropy(F.linear(tokens.float(), weight, bias), labels.long())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # of torch
        optimiser.step()
    if optimiser is None:
        raise DatasetError(
            "Expected one or more batches of labelled tokens to fit a linear probe to, but got"
            " none."
        )
    if not bool(weight.isfinite().all() & bias.isfinite().all()):
        raise DatasetError(
            "Expected features to be finite, but the probe came out as NaN or infinity. Extract"
            " them again."
        )
    return LinearProbe(weight.detach(), bias.detach())


def initial_probe(num_channels: int, num_classes: int, generator: torch.Generator) -> LinearProbe:
    """A random start, uniform in ±1 / sqrt(C) as a fresh 1x1 convolution of torch.

    Args:
        num_channels: C.
        num_classes: K.
        generator: Source of randomness, on the CPU.

    Raises:
        ConfigError: If there is no channel or no class.
    """
    if num_channels < 1 or num_classes < 1:
        raise ConfigError(
            f"Expected one or more channels and classes, but got {num_channels} and {num_classes}."
        )
    values = torch.rand(num_classes, num_channels + 1, generator=generator) * 2 - 1
    values /= math.sqrt(num_channels)
    return LinearProbe(values[:, :-1].contiguous(), values[:, -1].contiguous())


def token_labels(labels: NDArray[Any], grid: tuple[int, int]) -> NDArray[Any]:
    """Label of every token: the one at the centre pixel of its cell (of an even cell, the pixel
    right of and below the centre).

    Args:
        labels: (H, W) label image.
        grid: (h, w) of the features.

    Returns:
        (h, w), same dtype.

    Raises:
        ConfigError: If a side of the grid is 0 or longer than that of the label image.
    """
    if labels.ndim != 2 or not all(
        0 < cells <= pixels for cells, pixels in zip(grid, labels.shape, strict=True)
    ):
        raise ConfigError(
            f"Expected a label image with at least one pixel per cell, but got {labels.shape} and"
            f" grid {grid}."
        )
    rows, columns = (
        (np.arange(cells) * 2 + 1) * pixels // (2 * cells)
        for cells, pixels in zip(grid, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _drawn(
    tokens: Tensor,
    labels: Tensor,
    steps: int,
    batch_size: int,
    generator: torch.Generator,
    ignore_index: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    labelled = (labels != ignore_index).nonzero().flatten()
    if not len(labelled):
        raise DatasetError(
            f"Expected labelled tokens, but all {len(labels)} have the label {ignore_index}"
            " (unlabelled)."
        )
    for _ in range(steps):
        draw = torch.randint(len(labelled), (batch_size,), generator=generator)
        chosen = labelled[draw.to(labelled.device)]
        yield tokens[chosen.to(tokens.device)], labels[chosen].to(tokens.device)


def _check_batch(tokens: Tensor, labels: Tensor, probe: LinearProbe) -> None:
    num_classes, channels = probe.weight.shape
    if (
        tokens.ndim != 2
        or tokens.shape[1] != channels
        or labels.shape != tokens.shape[:1]
        or not tokens.is_floating_point()
    ):
        raise ConfigError(
            f"Expected floating-point tokens (n, {channels}) and labels (n,), but got"
            f" {tokens.dtype} {tuple(tokens.shape)} and {tuple(labels.shape)}."
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ConfigError(f"Expected labels to be integer class ids, but got {labels.dtype}.")
    if not len(labels):
        raise DatasetError(
            "Expected every batch to hold labelled tokens, but one is empty. Leave it out of the"
            " stream."
        )
    if int(labels.min()) < 0 or int(labels.max()) >= num_classes:
        raise DatasetError(
            f"Expected classes 0..{num_classes - 1}, but got labels from {int(labels.min())} to"
            f" {int(labels.max())}. Check the number of classes; leave unlabelled tokens out."
        )
