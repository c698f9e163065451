"""The sums of a batch by compiled loops on the CPU, one image per thread.

Equal to `primaps.prototypes.steps.plain` up to rounding. Sums over images are in the order of the
images, so that they depend neither on the number of threads nor on that of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from primaps.compute.cores import Workers
from primaps.prototypes.steps import (
    ballots_kernel,
    cross_entropy_kernel,
    probability_kernel,
    token_products,
)
from primaps.prototypes.steps.shared_batch import SharedBatch
from primaps.prototypes.sums import Sums


class CompiledSums(SharedBatch, Sums):
    """`Sums` on the CPU."""

    def token_logits(self, prototypes: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """See `Sums.token_logits`."""
        return token_products.token_logits(prototypes, features, self.workers)

    def closest_cosines(self, directions: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Sums.closest_cosines`."""
        return token_products.closest_cosines(directions, features, self.workers)

    def ballots(
        self, token_logits: Sequence[Tensor], proposals: Sequence[Tensor], stride: int
    ) -> list[Tensor]:
        """See `Sums.ballots`."""

        def count(pair: tuple[Tensor, Tensor]) -> Tensor:
            return ballots_kernel.ballots(pair[0].detach(), pair[1], stride)

        return list(self.workers.each(count, zip(token_logits, proposals, strict=True)))

    def mean_probabilities(
        self, token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int
    ) -> Tensor:
        """See `Sums.mean_probabilities`."""

        def total(pair: tuple[Tensor, tuple[int, int]]) -> tuple[Tensor, Tensor]:
            probabilities, pixels = probability_kernel.probability_sum(
                pair[0].detach(), pair[1], stride
            )
            return probabilities, torch.tensor(pixels)

        parts = list(self.workers.each(total, zip(token_logits, sizes, strict=True)))
        sums, counts = zip(*self.workers.gather(parts), strict=True)
        mean: Tensor = torch.stack(sums).sum(0) / sum(int(count) for count in counts)
        return mean.float()

    def cross_entropy(
        self,
        token_logits: Sequence[Tensor],
        proposals: Sequence[Tensor],
        votes: Sequence[Tensor],
        weights: Sequence[Tensor],
        pixels: Sequence[Tensor | None],
    ) -> Tensor:
        """See `Sums.cross_entropy`."""
        images = list(zip(proposals, votes, weights, pixels, strict=True))
        result: Tensor = _CrossEntropy.apply(images, self.workers, *token_logits)
        return result


_Image = tuple[Tensor, Tensor, Tensor, Tensor | None]
"""Proposals, votes, weights, pixels."""


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: list[_Image], workers: Workers, *token_logits: Tensor) -> Tensor:
        def work(pair: tuple[Tensor, _Image]) -> tuple[float, Tensor]:
            values, (proposals, votes, weights, pixels) = pair
            loss, gradient = cross_entropy_kernel.cross_entropy(
                values.detach(), proposals, votes, weights, pixels
            )
            share = 1.0 if pixels is None else proposals.numel() / pixels.numel()
            return loss * share, gradient.mul_(share)

        losses, ctx.gradients = zip(
            *workers.each(work, zip(token_logits, images, strict=True)), strict=True
        )
        parts = workers.gather([(torch.tensor(loss, dtype=torch.float64),) for loss in losses])
        return torch.tensor(sum(float(loss) for (loss,) in parts), dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(gradient * gradients[0] for gradient in ctx.gradients)
