"""What the method needs to know of the images of a batch: sums over their pixels and tokens.

Where and how they are computed is the matter of those who compute them: `plain.PlainSums` and
`compiled.CompiledSums`, between which `choice.sums_on` chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torch import Tensor

Item = TypeVar("Item")


class Sums(Protocol):
    """Sums over the images of a batch.

    Several processes may divide the images of a batch between them. What is given and returned per
    image is then of the images of this process; sums and means are over all images of all
    processes, each of which has to call the same methods in the same order.
    """

    def token_logits(self, prototypes: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
        """Class logits of the tokens of every image.

        Args:
            prototypes: (K, C) float32; the logits are differentiable in them.
            features: Per image (C, h, w) floating point.

        Returns:
            Per image (K, h, w) float32.

        Raises:
            ConfigError: If the number of channels differs.
        """
        ...

    def closest_cosines(self, directions: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Sum over all tokens of the cosine to the closest prototype.

        Args:
            directions: (K, C) float32 unit vectors; the sum is differentiable in them.
            features: Per image (C, h, w) floating point.

        Returns:
            () float32.

        Raises:
            ConfigError: If the number of channels differs.
        """
        ...

    def ballots(
        self, token_logits: Sequence[Tensor], proposals: Sequence[Tensor], stride: int
    ) -> list[Tensor]:
        """How many pixels of each proposal of each image have which class as their best one.

        Args:
            token_logits: Per image (K, h, w) float32.
            proposals: Per image (H, W) integer proposal ids 0..M, 0 = unassigned.
            stride: Pixel stride of the grid that votes.

        Returns:
            Per image (M + 1, K) int64; M is at least the number of its proposals.
        """
        ...

    def areas(self, proposals: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """How many pixels each proposal of each image has.

        Args:
            proposals: Per image (H, W) integer proposal ids 0..M.
            counts: Per image the number of ids, M + 1.

        Returns:
            Per image (M + 1,) int64.
        """
        ...

    def mean_probabilities(
        self, token_logits: Sequence[Tensor], sizes: Sequence[tuple[int, int]], stride: int
    ) -> Tensor:
        """Mean class probabilities over all pixels, ignored ones included.

        Args:
            token_logits: Per image (K, h, w) float32.
            sizes: Per image (H, W) in pixels.
            stride: Pixel stride of the grid that counts.

        Returns:
            (K,) float32, sums to 1.
        """
        ...

    def cross_entropy(
        self,
        token_logits: Sequence[Tensor],
        proposals: Sequence[Tensor],
        votes: Sequence[Tensor],
        weights: Sequence[Tensor],
        pixels: Sequence[Tensor | None],
    ) -> Tensor:
        """Weighted cross-entropy to the pseudo labels, summed over pixels.

        Args:
            token_logits: Per image (K, h, w) float32; the sum is differentiable in them.
            proposals: Per image (H, W) integer proposal ids 0..M.
            votes: Per image (M + 1,) int64 class of each proposal; the pixels of one with
                IGNORE_INDEX do not count.
            weights: Per image (M + 1,) float32 weight of a pixel of each proposal.
            pixels: Per image (P,) int64 flat pixel indices, repetitions included, each of which
                stands for H * W / P pixels; None = all pixels. Images of equal shapes have equally
                many.

        Returns:
            () float32.
        """
        ...

    def gather(self, values: Sequence[Tensor]) -> list[Tensor]:
        """One tensor per image of the whole batch, from one per image of this process."""
        ...

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items of this process's images, from one per image of the whole batch."""
        ...
