"""What a step of EM does with every pixel of a batch, by compiled loops on the CPU, one image per
thread.

Equal to `primaps.prototypes.steps.plain` up to rounding. Sums over images are in the order of the
images, so that they depend neither on the number of threads nor on that of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from primaps.compute.cores import Workers
from primaps.prototypes.steps import ballots_kernel, cross_entropy_kernel, probability_kernel
from primaps.prototypes.steps.token_products import closest_cosines, token_logits

__all__ = ["ballots", "closest_cosines", "cross_entropy", "mean_probabilities", "token_logits"]


def ballots(
    token_logits: Sequence[Tensor], proposals: Sequence[Tensor], stride: int, workers: Workers
) -> list[Tensor]:
    """How many pixels of each proposal of each image have which class as their best one.

    Args:
        token_logits: Per image (K, h, w) float32.
        proposals: Per image (H, W) integer proposal ids.
        stride: Pixel stride of the grid that votes.
        workers: Threads.

    Returns:
        Per image (M + 1, K) int64.
    """

    def count(pair: tuple[Tensor, Tensor]) -> Tensor:
        return ballots_kernel.ballots(pair[0].detach(), pair[1], stride)

    return list(workers.each(count, zip(token_logits, proposals, strict=True)))


def mean_probabilities(
    token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int, workers: Workers
) -> Tensor:
    """(K,) float32 mean class probabilities over all pixels of a batch, see
    `primaps.prototypes.steps.plain`.
    """

    def total(pair: tuple[Tensor, tuple[int, int]]) -> tuple[Tensor, Tensor]:
        probabilities, pixels = probability_kernel.probability_sum(
            pair[0].detach(), pair[1], stride
        )
        return probabilities, torch.tensor(pixels)

    parts = list(workers.each(total, zip(token_logits, sizes, strict=True)))
    sums, counts = zip(*workers.gather(parts), strict=True)
    mean: Tensor = torch.stack(sums).sum(0) / sum(int(count) for count in counts)
    return mean.float()


def cross_entropy(
    token_logits: Sequence[Tensor],
    proposals: Sequence[Tensor],
    votes: Sequence[Tensor],
    weights: Sequence[Tensor],
    pixels: Sequence[Tensor | None],
    workers: Workers,
) -> Tensor:
    """Weighted cross-entropy to the pseudo labels, summed over the pixels of a batch.

    Args:
        token_logits: Per image (K, h, w) float32; the result is differentiable in them.
        proposals: Per image (H, W) integer proposal ids 0..M.
        votes: Per image (M + 1,) int64.
        weights: Per image (M + 1,) float32 weight of a pixel of each proposal.
        pixels: Per image (P,) int64 random pixels, each of which stands for H * W / P; None = all
            pixels.
        workers: Threads, and processes over which the sum goes; per-image arguments are of this
            process's images.

    Returns:
        () float32.
    """
    images = list(zip(proposals, votes, weights, pixels, strict=True))
    result: Tensor = _CrossEntropy.apply(images, workers, *token_logits)
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
