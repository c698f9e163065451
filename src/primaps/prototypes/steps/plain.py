"""What a step of EM does with every pixel of a batch, in plain torch: the reference, and the path
on devices other than the CPU.

`primaps.prototypes.steps.compiled` has the same functions as compiled loops for the CPU. Images of
equal shapes are taken together, so with several processes, each with its own images of the batch,
sums are those of one process up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from primaps.compute.cores import Workers
from primaps.prototypes.classifier import logits
from primaps.prototypes.steps.pixels import equal_shapes, pixel_grid, sample, upsample
from primaps.prototypes.steps.replicas import over_processes, replicated
from primaps.types import IGNORE_INDEX


def token_logits(
    prototypes: Tensor, features: Sequence[Tensor], workers: Workers | None = None
) -> list[Tensor]:
    """Class logits of the tokens of every image.

    Args:
        prototypes: (K, C) float32; the logits are differentiable in them.
        features: Per image (C, h, w) floating point.
        workers: Processes over which gradients are added; None = this one.

    Returns:
        Per image (K, h, w) float32.
    """
    prototypes = replicated(prototypes, workers or Workers())
    return [logits(values, prototypes) for values in features]


def closest_cosines(
    prototypes: Tensor, features: Sequence[Tensor], workers: Workers | None = None
) -> Tensor:
    """Sum over all tokens of all images of the cosine to the closest prototype.

    Args:
        prototypes: (K, C) float32; the sum is differentiable in them.
        features: Per image (C, h, w) floating point.
        workers: Processes over which the sum goes, each with its own images; None = this one.

    Returns:
        () float32.
    """
    workers = workers or Workers()
    prototypes = replicated(prototypes, workers)
    closest = [logits(values, prototypes, cosine=True).amax(0).flatten() for values in features]
    return over_processes(torch.cat(closest).sum(), workers)


@torch.no_grad()
def ballots(
    token_logits: Sequence[Tensor],
    proposals: Sequence[Tensor],
    stride: int = 1,
    _: Workers | None = None,
) -> list[Tensor]:
    """How many pixels of each proposal of each image have which class as their best one.

    Args:
        token_logits: Per image (K, h, w) float32.
        proposals: Per image (H, W) integer proposal ids 0..M, 0 = unassigned.
        stride: Pixel stride of the grid that votes.

    Returns:
        Per image (M + 1, K) int64; M is at least the number of its proposals.
    """
    sizes, found = [(ids.shape[0], ids.shape[1]) for ids in proposals], dict[int, Tensor]()
    for members in equal_shapes(token_logits, sizes, stride):
        values = torch.stack([token_logits[index] for index in members])
        ids = torch.stack([proposals[index] for index in members]).long()
        (count, num_classes), (height, width), num_ids = (
            values.shape[:2],
            sizes[members[0]],
            int(ids.max()) + 1,
        )
        classes = upsample(values, (height, width), stride).max(1).indices
        ids = ids[:, pixel_grid(height, stride), pixel_grid(width, stride)]
        ids = ids + num_ids * torch.arange(count, device=ids.device)[:, None, None]
        counts = torch.bincount(
            (ids * num_classes + classes).flatten(), minlength=count * num_ids * num_classes
        )
        found |= zip(members, counts.view(count, num_ids, num_classes), strict=True)
    return [found[index] for index in range(len(proposals))]


@torch.no_grad()
def mean_probabilities(
    token_logits: Sequence[Tensor],
    sizes: Sequence[tuple[int, int]],
    stride: int = 1,
    workers: Workers | None = None,
) -> Tensor:
    """Mean class probabilities over all pixels of a batch, ignored ones included.

    Args:
        token_logits: Per image (K, h, w) float32.
        sizes: Per image (H, W) in pixels.
        stride: Pixel stride of the grid that counts.
        workers: Processes over which the mean goes, each with its own images; None = this one.

    Returns:
        (K,) float32, sums to 1.
    """
    total, pixels, workers = (
        torch.zeros(len(token_logits[0]), device=token_logits[0].device),
        0,
        workers or Workers(),
    )
    for members in equal_shapes(token_logits, sizes, stride):
        stacked = torch.stack([token_logits[index] for index in members])
        probabilities = upsample(stacked, sizes[members[0]], stride).softmax(1)
        total += probabilities.sum((0, 2, 3))
        pixels += probabilities[:, 0].numel()
    return over_processes(total, workers) / int(over_processes(torch.tensor(pixels), workers))


def pseudo_labels(proposals: Tensor, votes: Tensor) -> Tensor:
    """Spread the class of each proposal over its pixels.

    Args:
        proposals: (N, ...) int64 proposal ids 0..M.
        votes: (N, M + 1) int64 class of each proposal, padded with IGNORE_INDEX.

    Returns:
        (N, ...) int64 cluster ids, IGNORE_INDEX where unassigned.
    """
    return _spread(proposals, votes)


def _spread(proposals: Tensor, values: Tensor) -> Tensor:
    """From (N, M + 1) by proposal id to the pixels of (N, ...)."""
    return values.gather(1, proposals.flatten(1)).view_as(proposals)


def cross_entropy(
    token_logits: Sequence[Tensor],
    proposals: Sequence[Tensor],
    votes: Sequence[Tensor],
    weights: Sequence[Tensor],
    pixels: Sequence[Tensor | None],
    workers: Workers | None = None,
) -> Tensor:
    """Weighted cross-entropy to the pseudo labels, summed over the pixels of a batch.

    Args:
        token_logits: Per image (K, h, w) float32; the result is differentiable in them.
        proposals: Per image (H, W) integer proposal ids 0..M.
        votes: Per image (M + 1,) int64 class of each proposal.
        weights: Per image (M + 1,) float32 weight of a pixel of each proposal.
        pixels: Per image (P,) int64 random flat pixel indices, each of which stands for H * W / P
            pixels; None = all pixels. Images of the same shapes must have the same number.
        workers: Processes over which the sum goes, each with its own images; None = this one.

    Returns:
        () float32.
    """
    loss, sizes = weights[0].new_zeros(()), [(ids.shape[0], ids.shape[1]) for ids in proposals]
    for members in equal_shapes(token_logits, sizes, stride=1):
        values = torch.stack([token_logits[index] for index in members])
        ids = torch.stack([proposals[index] for index in members]).long()
        classes = pad_sequence(
            [votes[index] for index in members], batch_first=True, padding_value=IGNORE_INDEX
        )
        factors = pad_sequence([weights[index] for index in members], batch_first=True)
        drawn = [drawn for index in members if (drawn := pixels[index]) is not None]
        if not drawn:
            # Checkpointed: the full-size logits of one group at a time, computed anew for the
            # gradient.
            given = values, pseudo_labels(ids, classes), _spread(ids, factors)
            loss = loss + checkpoint(
                _all_pixels_loss, *given, use_reentrant=False, preserve_rng_state=False
            )
        else:
            chosen = torch.stack(drawn).to(values.device)
            ids, share = ids.flatten(1).gather(1, chosen), ids[0].numel() / chosen.shape[1]
            given = values, pseudo_labels(ids, classes), _spread(ids, factors)
            loss = loss + _sampled_loss(*given, sizes[members[0]], chosen) * share
    return over_processes(loss, workers or Workers())


def _all_pixels_loss(token_logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    values = upsample(token_logits, (labels.shape[1], labels.shape[2]))
    return (
        weights * F.cross_entropy(values, labels, ignore_index=IGNORE_INDEX, reduction="none")
    ).sum()


def _sampled_loss(
    token_logits: Tensor, labels: Tensor, weights: Tensor, size: tuple[int, int], pixels: Tensor
) -> Tensor:
    images, position = (labels != IGNORE_INDEX).nonzero(as_tuple=True)
    values = sample(token_logits, size, images, pixels[images, position])
    return (
        weights[images, position]
        * F.cross_entropy(values, labels[images, position], reduction="none")
    ).sum()
