"""The step of cosine k-means on the tokens of one image as a compiled loop on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from primaps.compute.compiling.functions import compiled, inlined
from primaps.compute.compiling.vectors import add_product, fill, load, store

_TOKENS_AT_ONCE = 64
_SMALLEST_NORM = np.float32(1e-12)
_LANES = (0,) * 8


def keep_closest(products: NDArray[np.float32], features: NDArray[np.float32]) -> float:
    """Sum over tokens of the cosine to the closest prototype; the smallest id wins ties.

    Args:
        products: (K, N) inner products of unit prototypes and tokens; overwritten with the
            derivative of the sum with respect to them: 1 / norm of the token for its closest
            prototype, 0 for the others.
        features: (C, N) tokens, contiguous.
    """
    return _keep_closest(products, features.reshape(-1), _LANES)


@compiled
def _keep_closest(
    products: NDArray[np.float32], features: NDArray[np.float32], lanes: tuple[int, ...]
) -> float:
    classes, tokens = products.shape
    squares, best = np.empty(_TOKENS_AT_ONCE, np.float32), np.empty(_TOKENS_AT_ONCE, np.float32)
    winners, result = np.empty(_TOKENS_AT_ONCE, np.int64), 0.0
    for first in range(0, tokens, _TOKENS_AT_ONCE):
        count = min(_TOKENS_AT_ONCE, tokens - first)
        _square(squares, features, first, count, tokens, lanes)
        best[:], winners[:] = -np.inf, 0
        for label in range(classes):
            for token in range(count):
                product = products[label, first + token]
                products[label, first + token] = 0
                if product > best[token]:
                    best[token], winners[token] = product, label
        for token in range(count):
            norm = max(np.sqrt(squares[token]), _SMALLEST_NORM)
            result += best[token] / norm
            products[winners[token], first + token] = np.float32(1.0) / norm
    return result


@inlined
def _square(
    squares: NDArray[np.float32],
    features: NDArray[np.float32],
    first: int,
    count: int,
    tokens: int,
    lanes: tuple[int, ...],
) -> None:
    """Squared norms of ``count`` tokens from ``first`` on."""
    whole = count // len(lanes) * len(lanes)
    for token in range(0, whole, len(lanes)):
        sums = fill(np.float32(0.0), lanes)
        for place in range(first + token, len(features), tokens):
            values = load(features, place, lanes)
            sums = add_product(sums, values, values)
        store(squares, token, sums)
    squares[whole:count] = 0
    for start in range(first, len(features), tokens):
        for token in range(whole, count):
            squares[token] += features[start + token] * features[start + token]
