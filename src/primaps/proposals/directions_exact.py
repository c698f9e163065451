"""First principal directions as exact as double precision allows, image by image: what a CPU does.

The second-moment matrix of the channels is *downdated* by the tokens that were removed, so that all
rounds of an extraction together cost about one matrix product over the tokens. Its leading
eigenvector comes from some steps of block Lanczos (Golub & Van Loan, Matrix Computations, 4th ed.,
section 10.3.6) with an error bound, and from a full decomposition where that bound is not reached.
Everything is float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.proposals.directions import with_official_sign

_MAX_ERROR = 1e-9
"""Largest sine of the angle between a direction and the exact one."""

_ROUNDING = 1e-15
"""What a residual may be off by, relative to the largest eigenvalue."""

_SMALL = 128
"""Matrices up to this size are decomposed in full: that takes no longer."""

_BLOCK = 2
"""Vectors per Lanczos block. With a single one, a double eigenvalue would pass for a simple one."""

_MAX_BASIS = 50
"""Lanczos vectors at most, about: a full decomposition would not be much slower."""

_MIN_ENERGY = 1e-3
"""A matrix is computed anew once less than this fraction of its trace is left: differences cancel.
"""


class ExactDirections:
    """`primaps.proposals.directions.Directions` of B images, one image after the other."""

    patience = 1
    tie = 0.0

    def __init__(self, tokens: Tensor, available: Tensor, *, signed: bool) -> None:
        """Start with the available tokens, see `primaps.proposals.directions.Finder`."""
        self._remaining = [RemainingTokens(*image) for image in zip(tokens, available, strict=True)]
        self._signed = signed
        self._active: list[int] = []
        self._nowhere = torch.zeros_like(available[:, 0])
        self._zero = torch.zeros_like(tokens[:, 0])

    def look(self, available: Tensor, active: Tensor) -> bool:  # noqa: ARG002
        """See `primaps.proposals.directions.Directions`."""
        self._active = [image for image, is_active in enumerate(active.tolist()) if is_active]
        return bool(self._active)

    def find(self, available: Tensor) -> tuple[Tensor, Tensor]:
        """See `primaps.proposals.directions.Directions`; none is in doubt."""
        found = self._zero.clone()
        for image in self._active:
            remaining = self._remaining[image]
            remaining.remove(remaining.available & ~available[image])
            direction = remaining.direction()
            found[image] = signed(direction, remaining) if self._signed else direction
        return found, self._nowhere


def signed(direction: Tensor, remaining: RemainingTokens) -> Tensor:
    """A (C,) direction of the remaining tokens with the sign of `with_official_sign`."""
    is_tall = remaining.count >= len(direction)
    side = remaining.first() @ direction if is_tall else direction[0]
    count = torch.tensor([remaining.count], device=direction.device)
    return with_official_sign(direction[None], side[None], count)[0]


class RemainingTokens:
    """The tokens of one image that belong to no proposal yet.

    Attributes:
        available: (N,) bool; which tokens remain. Only `remove` changes it.
        count: Number of remaining tokens.
    """

    def __init__(self, tokens: Tensor, available: Tensor | None = None) -> None:
        """Start with all tokens, or some.

        Args:
            tokens: (N, C) float64, finite; neither copied nor changed.
            available: (N,) bool; None = all.
        """
        self._tokens = tokens.detach()
        self.available = (
            torch.ones_like(tokens[:, 0], dtype=torch.bool)
            if available is None
            else available.clone()
        )
        self.count = int(self.available.sum())
        self._gram: _ChannelGram | _TokenGram | None = None

    def remove(self, used: Tensor) -> None:
        """Take tokens away.

        Args:
            used: (N,) bool; all of them still available.
        """
        removed = int(used.sum())
        self.count -= removed
        few = self.count < max(removed, self._tokens.shape[1] // 2)
        if few and isinstance(self._gram, _ChannelGram):
            self._gram = None  # to start again from those that are left is less work
        elif self._gram is not None:
            self._gram.remove(used)
        self.available &= ~used

    def first(self) -> Tensor:
        """(C,) the first remaining token about the mean of the remaining ones."""
        mean = self.available.to(self._tokens.dtype) @ self._tokens / self.count
        first: Tensor = self._tokens[self.available.int().argmax()] - mean
        return first

    def direction(self) -> Tensor:
        """First principal direction of the remaining tokens about their mean.

        Returns:
            (C,) float64 unit vector of either sign. Where the direction is not unique (equal
            leading eigenvalues, constant tokens), the one that ``torch.linalg.eigh`` of the
            second-moment matrix ends with.
        """
        gram, matrix = self._current_gram()
        vector = leading_eigenvector(matrix)
        if vector is not None:
            return gram.to_direction(vector)
        rows = self._tokens[self.available]
        centred = rows - rows.mean(dim=0)
        exact: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
        return exact

    def _current_gram(self) -> tuple[_ChannelGram | _TokenGram, Tensor]:
        """The Gram matrix, also about the mean; computed anew if there is none or if it has lost
        its precision.
        """
        if self._gram is not None:
            matrix = self._gram.centred()
            if float(matrix.trace()) >= _MIN_ENERGY * self._gram.energy:
                return self._gram, matrix
        kind = _ChannelGram if self.count > self._tokens.shape[1] else _TokenGram
        self._gram = kind(self._tokens, self.available)
        return self._gram, self._gram.centred()


class _ChannelGram:
    """Products of channels with channels, summed over the tokens that remain: (C, C)."""

    def __init__(self, tokens: Tensor, available: Tensor) -> None:
        rows = tokens if bool(available.all()) else tokens[available]
        self._tokens = tokens
        # the products are about this point: near the tokens, but it does not stay their mean
        self._origin = rows.mean(dim=0)
        self._count = len(rows)
        self._sum = torch.zeros_like(self._origin)
        rows = rows - self._origin
        self._products = rows.T @ rows
        self.energy = float(self._products.trace())

    def remove(self, used: Tensor) -> None:
        rows = self._tokens[used] - self._origin
        self._count -= len(rows)
        self._sum -= rows.sum(dim=0)
        self._products.addmm_(rows.T, rows, alpha=-1)

    def centred(self) -> Tensor:
        """Second moments about the mean of the remaining tokens, not divided by their number."""
        return self._products.addr(self._sum, self._sum, alpha=-1.0 / self._count)

    def to_direction(self, vector: Tensor) -> Tensor:
        """(C,) unit vector that belongs to an eigenvector of `centred`."""
        return vector


class _TokenGram:
    """Products of tokens with tokens: (n, n), the smaller matrix where there are fewer tokens than
    channels.
    """

    def __init__(self, tokens: Tensor, available: Tensor) -> None:
        self._index = available.nonzero().flatten()
        self._rows = tokens[available]
        self._rows -= self._rows.mean(dim=0)
        self._products = self._rows @ self._rows.T
        self.energy = float(self._products.trace())

    def remove(self, used: Tensor) -> None:
        kept = ~used[self._index]
        self._index, self._rows, self._products = (
            self._index[kept],
            self._rows[kept],
            self._products[kept][:, kept],
        )

    def centred(self) -> Tensor:
        """Products about the mean of the remaining tokens."""
        half = self._products - self._products.mean(dim=0)
        return half - half.mean(dim=1, keepdim=True)

    def to_direction(self, vector: Tensor) -> Tensor:
        """(C,) unit vector that belongs to an eigenvector of `centred`."""
        return torch.nn.functional.normalize((vector - vector.mean()) @ self._rows, dim=0)


def leading_eigenvector(matrix: Tensor) -> Tensor | None:
    """Eigenvector of the largest eigenvalue, or None where that eigenvalue is a multiple one or
    close to it.

    Args:
        matrix: (n, n) float64, symmetric and positive semi-definite.

    Returns:
        (n,) unit vector of either sign whose angle to the exact one is at most 1e-9 (up to
        rounding).
    """
    found = _lanczos(matrix) if len(matrix) > _SMALL else None
    if found is not None:
        return found.clone()  # as an ordinary tensor
    values, vectors = torch.linalg.eigh(matrix)
    return vectors[:, -1] if bool(_error(values, 0.0) < _MAX_ERROR) else None


# small matrices, many operations: without its bookkeeping torch is a quarter faster
@torch.inference_mode()
def _lanczos(matrix: Tensor) -> Tensor | None:
    """`leading_eigenvector` by block Lanczos with full orthogonalisation from a fixed start; None
    if it does not converge.
    """
    size = len(matrix)
    ramp = torch.arange(1, _BLOCK * size + 1, dtype=matrix.dtype, device=matrix.device)
    # has no structure in common with any features
    start = ((ramp.square() * 2**0.5).frac() - 0.5).reshape(_BLOCK, size)
    basis = _orthonormal(start, matrix.new_zeros(0, size))
    images = basis @ matrix
    while len(basis) < _MAX_BASIS:
        for _ in range(3):  # to look at the error less often would waste steps, more often time
            block = _orthonormal(images[-_BLOCK:], basis)
            basis, images = torch.cat([basis, block]), torch.cat([images, block @ matrix])
        values, weights = torch.linalg.eigh(images @ basis.T)
        vector: Tensor = weights[:, -1] @ basis
        residual = (weights[:, -1] @ images - values[-1] * vector).norm()
        if bool(_error(values, residual) < _MAX_ERROR):
            return vector
    return None


def _orthonormal(block: Tensor, basis: Tensor) -> Tensor:
    """Rows of ``block`` made orthonormal to each other and to those of ``basis``."""
    for _ in range(2):  # after cancellation once is not enough
        block = torch.linalg.qr((block - (block @ basis.T) @ basis).T).Q.T
    return block


def _error(values: Tensor, residual: Tensor | float) -> Tensor:
    """Bound of the sine of the angle to the first eigenvector: residual over gap (Davis & Kahan
    1970); no number without gap.
    """
    second = values[-2] if len(values) > 1 else 0.0
    return (residual + _ROUNDING * values[-1]) / (values[-1] - second)
