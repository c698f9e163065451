import math

import numpy as np
import pytest
import torch

from primaps.heads.local_positives import NEIGHBOURHOOD, local_weights, mix


def plain_mix(code, attention, grid):
    """Steps of the paper's local hidden positives, token by token, in numpy float64; one image."""
    height, width = grid
    flat = code.reshape(len(code), -1)
    mixed = np.zeros_like(flat)
    for token in range(height * width):
        row = np.clip(attention[token], *np.quantile(attention[token], [0.1, 0.9]))
        weights = np.exp(row) / np.exp(row).sum() * math.sqrt(height * width)
        weights[weights < weights.mean()] = 0
        number = 0
        for r in range(token // width - 1, token // width + 2):
            for c in range(token % width - 1, token % width + 2):
                if 0 <= r < height and 0 <= c < width:
                    number += 1
                    mixed[:, token] += weights[r * width + c] * flat[:, r * width + c]
        mixed[:, token] /= number
    return mixed.reshape(code.shape)


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 4), (24, 23)])
def test_agrees_with_a_loop_over_tokens(grid):
    tokens = grid[0] * grid[1]
    generator = torch.Generator().manual_seed(tokens)
    attention = torch.rand(2, tokens, tokens, generator=generator, dtype=torch.float64) * 3
    code = torch.randn(2, 5, *grid, generator=generator)
    weights = torch.stack([local_weights(rows.float(), grid) for rows in attention])
    expected = [
        plain_mix(c, a, grid) for c, a in zip(code.double().numpy(), attention.numpy(), strict=True)
    ]
    np.testing.assert_allclose(mix(code, weights).numpy(), np.stack(expected), atol=1e-5)


def test_neighbours_outside_the_grid_have_no_weight():
    weights = local_weights(torch.ones(12, 12), (3, 4))
    inside = weights > 0
    assert inside.sum(0).tolist() == [[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]
    assert float(weights[4, 1, 1]) == pytest.approx(math.sqrt(12) / 12 / 9)
    assert NEIGHBOURHOOD[4] == (0, 0)


def test_gradients_flow_through_the_code():
    code = torch.randn(1, 2, 3, 3, requires_grad=True)
    mix(code, local_weights(torch.ones(9, 9), (3, 3))[None]).sum().backward()
    assert (code.grad > 0).all()
