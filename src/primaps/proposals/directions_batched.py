"""First principal directions of many images at once, by matrix products alone: what keeps an
accelerator busy without the host looking on.

The host looks every few rounds which images and tokens are left; the others are left behind.

Squaring a matrix s times keeps its eigenvectors and raises its eigenvalues to the power 2^s, so
that the first one stands out; power steps with the result do the rest. The same matrix gives the
error bound (Davis & Kahan 1970): scaled to a trace of 1, its second eigenvalue is at most 1 - theta
if the Rayleigh quotient of the vector is theta.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from primaps.proposals.directions import with_official_sign
from primaps.proposals.doubt import TIE

_CHECK_EVERY = 4
"""Rounds between two looks at how much is left; each waits for the device."""

_SPREAD = 1e-6
"""Below this fraction of their mean square, the variance of tokens is lost in rounding."""

_SQUARINGS = 10
"""An eigenvalue that is lower than the first by a thousandth of it then counts a third of it."""

_STEPS = 16
"""Power steps with the squared matrix."""

_MAX_ERROR = 1e-9
"""Largest sine of the angle between a vector and the exact one that counts as certain."""


@dataclass(frozen=True)
class _Part:
    """The b images that are not done, each with the n tokens that may be available still.

    Attributes:
        images: (b,) int64 which images.
        index: (b, n) int64 which tokens, ascending.
        tokens: (b, n, C) float64.
        energy: (b, n) float64 squared norms.
    """

    images: Tensor
    index: Tensor
    tokens: Tensor
    energy: Tensor


class BatchedDirections:
    """`primaps.proposals.directions.Directions` of B images at once.

    A direction is in doubt where it is not unique, or its sign counts and is not certain.
    """

    patience = _CHECK_EVERY
    tie = TIE

    def __init__(self, tokens: Tensor, available: Tensor, *, signed: bool) -> None:
        """Start with the available tokens, see `primaps.proposals.directions.Finder`."""
        self._tokens = tokens
        self._signed = signed
        self._nowhere = torch.zeros_like(available[:, 0])
        self._part: _Part  # of the last look

    def look(self, available: Tensor, active: Tensor) -> bool:
        """See `primaps.proposals.directions.Directions`. This is where the host waits."""
        counts = (available.sum(dim=1) * active).tolist()
        left = [image for image, count in enumerate(counts) if count]
        if left:
            self._part = _part(self._tokens, available, torch.tensor(left), max(counts))
        return bool(left)

    def find(self, available: Tensor) -> tuple[Tensor, Tensor]:
        """See `primaps.proposals.directions.Directions`.

        The second moments are computed anew in every round: to downdate them by tokens that differ
        in number from image to image would be a masked product of the same size, and would lose
        precision.
        """
        part = self._part
        weights = available[part.images[:, None], part.index].double()
        count = weights.sum(dim=1)
        mean = weights[:, None] @ part.tokens / count.clamp_min(1)[:, None, None]
        centred = (part.tokens - mean) * weights[:, :, None]
        moments = centred.transpose(1, 2) @ centred
        vectors, certain = leading_eigenvectors(moments)
        spread = moments.diagonal(dim1=1, dim2=2).sum(dim=1)
        certain &= spread > _SPREAD * (part.energy * weights).sum(dim=1)
        if self._signed:
            vectors, has_sign = _signed(vectors, centred, weights, count)
            certain &= has_sign
        else:
            certain |= count <= 1  # a lone token is the anchor, whatever the direction
        directions = torch.zeros_like(self._tokens[:, 0])
        directions[part.images] = vectors
        doubtful = self._nowhere.clone()
        doubtful[part.images] = ~certain
        return directions, doubtful


def _part(tokens: Tensor, available: Tensor, images: Tensor, count: int) -> _Part:
    """Some images with their available tokens, of which there are at most ``count``."""
    images = images.to(tokens.device)
    # images with fewer tokens are filled up with used ones, which must not come first
    first = available[images].int().argsort(dim=1, descending=True, stable=True)[:, :count]
    index = first.sort(dim=1).values
    rows = tokens[images[:, None], index]
    return _Part(images, index, rows, rows.square().sum(dim=2))


def _signed(
    vectors: Tensor, centred: Tensor, weights: Tensor, count: Tensor
) -> tuple[Tensor, Tensor]:
    """(b, C) vectors with the sign of `with_official_sign`, and (b,) bool where it is certain.

    Args:
        vectors: (b, C).
        centred: (b, n, C) tokens about their mean, zero where not available.
        weights: (b, n) 1 = available, 0 = not.
        count: (b,) number of available tokens.
    """
    image = torch.arange(len(centred), device=centred.device)
    first = centred[image, weights.argmax(dim=1)]
    is_tall = count >= vectors.shape[1]
    side = torch.where(is_tall, (first * vectors).sum(dim=1), vectors[:, 0])
    certain = side.abs() > TIE * torch.where(is_tall, first.norm(dim=1), 1.0)
    return with_official_sign(vectors, side, count), certain


def leading_eigenvectors(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors of the largest eigenvalues.

    Args:
        matrices: (B, n, n) float64, symmetric and positive semi-definite, finite.

    Returns:
        (B, n) unit vectors of either sign, and (B,) bool: the angle to the exact one is at most
        1e-9, up to rounding. That does not hold where the first eigenvalue is a multiple one or
        almost (by about 1e-3), or the matrix is zero.
    """
    power = _scaled(matrices)
    for _ in range(_SQUARINGS):
        power = _scaled(power @ power)
    largest = power.diagonal(dim1=1, dim2=2).argmax(dim=1)
    # a column, never orthogonal to the vector
    vector = power.gather(2, largest[:, None, None].expand(-1, power.shape[1], 1))
    for _ in range(_STEPS):
        vector = torch.nn.functional.normalize(power @ vector, dim=1)
    image = power @ vector
    quotient = (vector * image).sum(dim=1, keepdim=True)
    residual = (image - quotient * vector).norm(dim=1)[:, 0]
    gap = 2.0 * quotient[:, 0, 0] - 1.0
    return vector[:, :, 0], (gap > 0) & (residual < _MAX_ERROR * gap)


def _scaled(matrices: Tensor) -> Tensor:
    """The matrices divided by their traces; zero stays zero."""
    trace = matrices.diagonal(dim1=1, dim2=2).sum(dim=1)
    return matrices / trace.clamp_min(torch.finfo(matrices.dtype).tiny)[:, None, None]
