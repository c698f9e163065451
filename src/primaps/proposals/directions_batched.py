"""Leading eigenvectors of many matrices by matrix products alone: what keeps an accelerator busy
without the host looking on.

Squaring a matrix s times keeps its eigenvectors and raises its eigenvalues to the power 2^s, so
that the first one stands out; power steps with the result do the rest. The same matrix gives the
error bound (Davis & Kahan 1970): scaled to a trace of 1, its second eigenvalue is at most 1 - theta
if the Rayleigh quotient of the vector is theta.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SQUARINGS = 10
"""An eigenvalue that is lower than the first by a thousandth of it then counts a third of it."""

_STEPS = 16
"""Power steps with the squared matrix."""

_MAX_ERROR = 1e-9
"""Largest sine of the angle between a vector and the exact one that counts as certain."""


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
