"""Where rounding could change a proposal: directions of many images at once are made of sums in
another order than those of one image alone, and differ in their last digits.
"""

from __future__ import annotations

from torch import Tensor

TIE = 1e-8
"""Similarities to the direction that differ by less may come in either order: directions are exact
to 1e-9.
"""

_SAME = 1e-14
"""Tokens whose cosine is 1 up to this make the same proposal, as far as `_EDGE` can tell."""

_EDGE = 2e-7
"""A token whose similarity is nearer to the threshold may fall on either side."""


def doubtful_proposals(
    contenders: Tensor, available: Tensor, cosines: Tensor, limit: Tensor
) -> Tensor:
    """Where another anchor is as good and makes another proposal, or a token may or may not belong
    to this one.

    Args:
        contenders: (B, N) bool; tokens that could be the anchor, of which the first one is.
        available: (B, N) bool; tokens that belong to no proposal yet.
        cosines: (B, N) float64 cosine similarity to the anchor.
        limit: (B, 1) float64; from which on an available token belongs to the proposal.

    Returns:
        (B,) bool.
    """
    free = contenders & available
    between = free.any(dim=1) & (contenders & ~available).any(dim=1)
    tied = (free & (cosines < 1.0 - _SAME)).any(dim=1)
    return between | tied | (available & ((cosines - limit).abs() < _EDGE)).any(dim=1)
