"""The first principal direction of a set of tokens that only ever shrinks, found again after every removal.

The second-moment matrix of the channels is *downdated* by the tokens that were removed, so that all rounds of an extraction
together cost about one matrix product over the tokens. Its leading eigenvector comes from some steps of block Lanczos (Golub &
Van Loan, Matrix Computations, 4th ed., section 10.3.6) with an error bound, and from a full decomposition where that bound is
not reached. Everything is float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MAX_ERROR = 1e-9
"""Largest sine of the angle between a direction and the exact one."""

_SMALL = 96
"""Matrices up to this size are decomposed in full: that takes no longer."""

_BLOCK = 2
"""Vectors per Lanczos block. With a single one, a double eigenvalue would pass for a simple one."""

_MAX_BASIS = 98
"""Lanczos vectors at most, then a full decomposition is not much slower. From `_BLOCK` on in steps of 2 `_BLOCK`; above `_SMALL`."""

_MIN_ENERGY = 1e-3
"""Downdated moments are computed anew once less than this fraction of their trace is left: differences cancel."""


class RemainingTokens:
    """The tokens of one image that belong to no proposal yet, with their second moments.

    Attributes:
        available: (N,) bool; which tokens remain. Only `remove` changes it.
        count: Number of remaining tokens.
    """

    def __init__(self, tokens: Tensor, available: Tensor | None = None) -> None:
        """Start with all tokens, or some.

        Args:
            tokens: (N, C) float64, finite; not changed.
            available: (N,) bool; None = all.
        """
        self._tokens = tokens  # about an origin that changes when the moments are computed anew
        self.available = torch.ones_like(tokens[:, 0], dtype=torch.bool) if available is None else available.clone()
        self.count = int(self.available.sum())
        self._sum = tokens.new_zeros(tokens.shape[1])
        self._second: Tensor | None = None
        self._energy = 0.0

    def remove(self, used: Tensor) -> None:
        """Take tokens away.

        Args:
            used: (N,) bool; all of them still available.
        """
        self.available &= ~used
        before, self.count = self.count, int(self.available.sum())
        if self.count < max(before - self.count, self._tokens.shape[1]):
            self._second = None  # to start again from the few that are left is less work
        elif self._second is not None:
            rows = self._tokens[used]
            self._sum -= rows.sum(dim=0)
            self._second.addmm_(rows.T, rows, alpha=-1)

    def direction(self) -> Tensor:
        """First principal direction of the remaining tokens about their mean.

        Returns:
            (C,) float64 unit vector of either sign. Where the direction is not unique (equal leading eigenvalues, constant
            tokens), the one that ``torch.linalg.eigh`` of the second-moment matrix ends with.
        """
        found = self._from_tokens() if self.count < self._tokens.shape[1] else leading_eigenvector(self._covariance())
        if found is not None:
            return found
        centred = self._centred()
        exact: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
        return exact

    def first(self) -> Tensor:
        """(C,) the first remaining token about the mean of the remaining ones."""
        mean = self._remaining().mean(dim=0) if self._second is None else self._sum / self.count
        first: Tensor = self._tokens[self.available.int().argmax()] - mean
        return first

    def _from_tokens(self) -> Tensor | None:
        """By the Gram matrix of the tokens, the smaller one if there are fewer tokens than channels."""
        centred = self._centred()
        weights = leading_eigenvector(centred @ centred.T)
        return None if weights is None else torch.nn.functional.normalize(weights @ centred, dim=0)

    def _covariance(self) -> Tensor:
        """(C, C) second moments of the remaining tokens about their mean, not divided by their number."""
        if self._second is not None:
            matrix = self._second.addr(self._sum, self._sum, alpha=-1.0 / self.count)
            if float(matrix.trace()) >= _MIN_ENERGY * self._energy:
                return matrix
        self._tokens = self._tokens - self._remaining().mean(dim=0)
        rows = self._remaining()
        self._sum = torch.zeros_like(self._sum)
        self._second = rows.T @ rows
        self._energy = float(self._second.trace())
        return self._second

    def _centred(self) -> Tensor:
        rows = self._remaining()
        return rows - rows.mean(dim=0)

    def _remaining(self) -> Tensor:
        return self._tokens if self.count == len(self._tokens) else self._tokens[self.available]


def leading_eigenvector(matrix: Tensor) -> Tensor | None:
    """Eigenvector of the largest eigenvalue, by block Lanczos with full orthogonalisation from a fixed start.

    It ends when the residual is small relative to the distance of the two largest Ritz values, which bounds the sine of the angle
    to the exact eigenvector (Davis & Kahan 1970). That never happens where the largest eigenvalue is a multiple one.

    Args:
        matrix: (n, n) float64, symmetric and positive semi-definite.

    Returns:
        (n,) unit vector of either sign with an error of at most 1e-9; None where the bound is not reached.
    """
    basis = _start(matrix)
    images = basis @ matrix
    while True:
        values, weights = torch.linalg.eigh(images @ basis.T)
        vector = weights[:, -1] @ basis
        residual = (weights[:, -1] @ images - values[-1] * vector).norm()
        second = values[-2] if len(values) > 1 else 0.0
        if bool(residual < _MAX_ERROR * (values[-1] - second)):
            return vector
        if len(basis) + 2 * _BLOCK > min(_MAX_BASIS, len(matrix)):
            return None
        for _ in range(2):  # looking less often would waste steps, more often time
            block = _orthonormal(images[-_BLOCK:], basis)
            basis, images = torch.cat([basis, block]), torch.cat([images, block @ matrix])


def _start(matrix: Tensor) -> Tensor:
    """Rows to start from: all unit vectors where that is cheap, so that the first step is exact; else two without structure."""
    size = len(matrix)
    if size <= _SMALL:
        return torch.eye(size, dtype=matrix.dtype, device=matrix.device)
    ramp = torch.arange(1, _BLOCK * size + 1, dtype=matrix.dtype, device=matrix.device)
    return _orthonormal(ramp.square().sin().reshape(_BLOCK, size), matrix.new_zeros(0, size))


def _orthonormal(block: Tensor, basis: Tensor) -> Tensor:
    """Rows of ``block`` made orthonormal to each other and to those of ``basis``."""
    for _ in range(2):  # after cancellation once is not enough
        block = torch.linalg.qr((block - (block @ basis.T) @ basis).T).Q.T
    return block
