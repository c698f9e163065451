"""Products of prototypes with the tokens of many images on the CPU, and their gradients, one image
per thread.

Features stay in half precision. A thread converts them to single precision into memory that it uses
again for the next image, and converts them anew for the gradient, which costs less than to keep
them. Gradients are added in the order of the images, so that they depend neither on the number of
threads nor on that of processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from primaps.compute.cores import Workers
from primaps.prototypes.classifier import check_channels
from primaps.prototypes.steps.cosine_kernel import keep_closest


def token_logits(prototypes: Tensor, features: Sequence[Tensor], workers: Workers) -> list[Tensor]:
    """Class logits of the tokens of every image, as `primaps.prototypes.classifier.logits` gives
    them.

    Args:
        prototypes: (K, C) float32 on the CPU; the logits are differentiable in them.
        features: Per image (C, h, w) floating point on the CPU.
        workers: Threads.

    Returns:
        Per image (K, h, w) float32.

    Raises:
        ConfigError: If the number of channels differs.
    """
    for values in features:
        check_channels(values, prototypes)
    return list(_TokenLogits.apply(prototypes, features, workers))


def closest_cosines(prototypes: Tensor, features: Sequence[Tensor], workers: Workers) -> Tensor:
    """Sum over all tokens of all images of the cosine to the closest prototype.

    Args:
        prototypes: (K, C) float32 unit vectors on the CPU; the sum is differentiable in them.
        features: Per image of this process (C, h, w) floating point on the CPU.
        workers: Threads, and processes over which the sum goes.

    Returns:
        () float32.

    Raises:
        ConfigError: If the number of channels differs.
    """
    for values in features:
        check_channels(values, prototypes)
    result: Tensor = _ClosestCosines.apply(prototypes, features, workers)
    return result


class _TokenLogits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, prototypes: Tensor, features: Sequence[Tensor], workers: Workers
    ) -> tuple[Tensor, ...]:
        ctx.features, ctx.workers, ctx.shape, weights = (
            features,
            workers,
            prototypes.shape,
            _filled_up(prototypes.detach()),
        )

        def product(values: Tensor) -> Tensor:
            return (weights @ _converted(values, workers))[: len(prototypes)].view(
                -1, *values.shape[1:]
            )

        return tuple(workers.each(product, features))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        def product(pair: tuple[Tensor, Tensor]) -> Tensor:
            values, gradient = pair
            return (_filled_up(gradient.flatten(1)) @ _converted(values, ctx.workers).T)[
                : len(gradient)
            ]

        workers: Workers = ctx.workers
        parts = [
            (part,) for part in workers.each(product, zip(ctx.features, gradients, strict=True))
        ]
        return _summed((part for (part,) in workers.gather(parts)), ctx.shape), None, None


class _ClosestCosines(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, prototypes: Tensor, features: Sequence[Tensor], workers: Workers
    ) -> Tensor:
        weights, count = _filled_up(prototypes.detach()), len(prototypes)

        def closest(values: Tensor) -> tuple[Tensor, Tensor]:
            tokens = _converted(values, workers)
            products = weights @ tokens
            cosines = keep_closest(products[:count].numpy(), tokens.numpy())
            return torch.tensor(cosines, dtype=torch.float64), (products @ tokens.T)[:count]

        parts = workers.gather(list(workers.each(closest, features)))
        ctx.gradient = _summed((gradient for _, gradient in parts), prototypes.shape)
        return prototypes.new_tensor(sum(float(cosines) for cosines, _ in parts))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.gradient * gradients[0], None, None


def _filled_up(rows: Tensor) -> Tensor:
    """Rows of zeros behind the others, up to a multiple of four: products with 28 rows take less
    time than with 27.
    """
    return F.pad(rows, (0, 0, 0, -len(rows) % 4))


def _converted(features: Tensor, workers: Workers) -> Tensor:
    """(C, N) float32 tokens in memory of this thread."""
    return workers.scratch(*features.shape).copy_(features).flatten(1)


def _summed(parts: Iterable[Tensor], shape: torch.Size) -> Tensor:
    result = torch.zeros(shape)
    for part in parts:
        result += part
    return result
