"""The sums of a batch in plain torch: the reference, and the path on devices other than the CPU.

Images of equal shapes are taken together, so with several processes, each with its own images of
the batch, sums are those of one process up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from primaps.prototypes.classifier import logits
from primaps.prototypes.pixels import equal_shapes, pixel_grid, sample, size_of, upsample
from primaps.prototypes.steps.replicas import over_processes, replicated
from primaps.prototypes.steps.shared_batch import SharedBatch
from primaps.prototypes.sums import Sums
from primaps.types import IGNORE_INDEX


class PlainSums(SharedBatch, Sums):
    """`Sums` on any device."""

    def token_logits(self, prototypes: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """See `Sums.token_logits`; gradients are added over processes."""
        prototypes = replicated(prototypes, self.workers)
        return [logits(values, prototypes) for values in features]

    def closest_cosines(self, directions: Tensor, features: Sequence[Tensor]) -> Tensor:
        """See `Sums.closest_cosines`; the directions may have any norm."""
        directions = replicated(directions, self.workers)
        closest = [logits(values, directions, cosine=True).amax(0).flatten() for values in features]
        return over_processes(torch.cat(closest).sum(), self.workers)

    @torch.no_grad()
    def ballots(
        self, token_logits: Sequence[Tensor], proposals: Sequence[Tensor], stride: int
    ) -> list[Tensor]:
        """See `Sums.ballots`."""
        sizes, found = [size_of(ids) for ids in proposals], dict[int, Tensor]()
        for members in equal_shapes(token_logits, sizes, stride):
            values = torch.stack([token_logits[index] for index in members])
            ids = torch.stack([proposals[index] for index in members]).long()
            counts = _stacked_ballots(values, ids, stride)
            found |= zip(members, counts, strict=True)
        return [found[index] for index in range(len(proposals))]

    @torch.no_grad()
    def mean_probabilities(
        self, token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int
    ) -> Tensor:
        """See `Sums.mean_probabilities`."""
        total, pixels = torch.zeros(len(token_logits[0]), device=token_logits[0].device), 0
        for members in equal_shapes(token_logits, sizes, stride):
            stacked = torch.stack([token_logits[index] for index in members])
            probabilities = upsample(stacked, sizes[members[0]], stride).softmax(1)
            total += probabilities.sum((0, 2, 3))
            pixels += probabilities[:, 0].numel()
        everywhere = int(over_processes(torch.tensor(pixels), self.workers))
        return over_processes(total, self.workers) / everywhere

    def cross_entropy(
        self,
        token_logits: Sequence[Tensor],
        proposals: Sequence[Tensor],
        votes: Sequence[Tensor],
        weights: Sequence[Tensor],
        pixels: Sequence[Tensor | None],
    ) -> Tensor:
        """See `Sums.cross_entropy`."""
        loss, sizes = weights[0].new_zeros(()), [size_of(ids) for ids in proposals]
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
        return over_processes(loss, self.workers)


def _stacked_ballots(token_logits: Tensor, proposals: Tensor, stride: int) -> Tensor:
    """(N, M + 1, K) int64 ballots of images of equal shapes, M of the one with most proposals."""
    (count, num_classes), num_ids = token_logits.shape[:2], int(proposals.max()) + 1
    height, width = size_of(proposals[0])
    classes = upsample(token_logits, (height, width), stride).max(1).indices
    ids = proposals[:, pixel_grid(height, stride), pixel_grid(width, stride)]
    ids = ids + num_ids * torch.arange(count, device=ids.device)[:, None, None]
    counts = torch.bincount(
        (ids * num_classes + classes).flatten(), minlength=count * num_ids * num_classes
    )
    return counts.view(count, num_ids, num_classes)


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
