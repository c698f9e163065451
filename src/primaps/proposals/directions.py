"""First principal directions of what is left of many images: what the decomposition asks for, and
the sign that the directions have.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

SHORT_PATH = 60


class Directions(Protocol):
    """Finds the first principal directions of B images of N tokens, of which ever fewer are left.

    Attributes:
        patience: Rounds between two calls of `look`; more than one where a look has to wait for
            the device.
        tie: Cosine similarities to a direction that differ by no more may come in either order, so
            that a proposal can be in doubt, see `primaps.proposals.doubt`. 0 = those that differ
            are told apart, and nothing is in doubt.
    """

    patience: int
    tie: float

    def look(self, available: Tensor, active: Tensor) -> bool:
        """Take note of what is left.

        Args:
            available: (B, N) bool; tokens that belong to no proposal yet.
            active: (B,) bool; images that want another proposal; each has available tokens.

        Returns:
            Whether any image does.
        """

    def find(self, available: Tensor) -> tuple[Tensor, Tensor]:
        """The directions of the available tokens about their mean.

        Args:
            available: (B, N) bool.

        Returns:
            (B, C) float64 unit vectors, of no meaning for images that were not active at the last
            look; and (B,) bool where they are in doubt.
        """


class Finder(Protocol):
    """How directions are found: `primaps.proposals.directions_exact.ExactDirections` or
    `primaps.proposals.directions_batched.BatchedDirections`.
    """

    def __call__(self, tokens: Tensor, available: Tensor, *, signed: bool) -> Directions:
        """Start with the available ones of (B, N, C) float64 tokens, which may not change.

        Args:
            tokens: Finite; not copied.
            available: (B, N) bool.
            signed: Whether directions need their sign; otherwise it is either one.
        """


def with_official_sign(directions: Tensor, sides: Tensor, counts: Tensor) -> Tensor:
    """Directions with the sign that the official code ends up with.

    It takes ``torch.pca_lowrank(q=3)``. In the limit of many iterations the sign follows from the
    conventions of Householder QR and of LAPACK's SVD of the small factor: the first row of the tall
    one of (tokens, tokens transposed) projects positively on the direction, or negatively where
    LAPACK takes its short path, which it does below 60 rows or columns.

    Args:
        directions: (B, C) unit vectors.
        sides: (B,) that projection: of the first token about the mean, or, where there are fewer
            tokens than channels, the direction's first component.
        counts: (B,) number of tokens.
    """
    positive = (sides >= 0) == (counts.clamp_max(directions.shape[1]) >= SHORT_PATH)
    return torch.where(positive[:, None], directions, -directions)
