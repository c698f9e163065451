"""Closest cosines against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from primaps.prototypes.steps.cosine_kernel import keep_closest


@pytest.mark.parametrize(
    ("classes", "channels", "tokens"), [(1, 1, 1), (3, 5, 64), (7, 4, 65), (27, 30, 200)]
)
def test_sum_and_derivative(classes, channels, tokens):
    rng = np.random.default_rng(tokens)
    prototypes, features = (
        rng.normal(size=(classes, channels)),
        rng.normal(size=(channels, tokens)) * 5,
    )
    products = (prototypes @ features).astype(np.float32)
    norms = np.linalg.norm(features, axis=0)
    expected = np.zeros_like(products)
    expected[products.argmax(0), np.arange(tokens)] = 1 / norms
    total = (products.max(0) / norms).sum()
    assert keep_closest(products, features.astype(np.float32)) == pytest.approx(
        total, rel=1e-5, abs=1e-5
    )
    np.testing.assert_allclose(products, expected, rtol=1e-5)


def test_ties_and_tokens_without_length():
    products = np.array([[1.0, 0.0], [1.0, 0.0]], np.float32)
    assert keep_closest(products, np.array([[2.0, 0.0]], np.float32)) == 0.5
    assert products[0, 0] == 0.5
    assert (products[1] == 0).all()


def test_not_a_number_comes_through():
    assert np.isnan(
        keep_closest(np.full((2, 1), np.nan, np.float32), np.full((3, 1), np.nan, np.float32))
    )
