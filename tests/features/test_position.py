import numpy as np
import pytest
import torch
from torch.nn import functional as F

from primaps.features.position import resample_position


def embedding(side=7, dim=5):
    return torch.randn(1, side * side, dim, generator=torch.Generator().manual_seed(0))


def cubic_matrix(old, new, scale):
    """Plain bicubic weights (Keys 1981, a = -0.75) that sample at (i + 0.5) / scale - 0.5, borders
    repeated.
    """
    a, weights = -0.75, np.zeros((new, old))
    for i in range(new):
        x = (i + 0.5) / scale - 0.5
        for tap in range(int(np.floor(x)) - 1, int(np.floor(x)) + 3):
            d = abs(x - tap)
            value = (
                (a + 2) * d**3 - (a + 3) * d**2 + 1
                if d <= 1
                else a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            )
            weights[i, min(max(tap, 0), old - 1)] += value
    return weights


@pytest.mark.parametrize("rule", ["dino", "dinov2"])
@pytest.mark.parametrize("grid", [(10, 10), (9, 13), (3, 4), (1, 30), (7, 8)])
def test_hub_rule_samples_with_the_tenth_added_to_the_size(rule, grid):
    patches = embedding()
    rows, columns = (cubic_matrix(7, new, (new + 0.1) / 7) for new in grid)
    expected = np.einsum(
        "ia,jb,abc->ijc", rows, columns, patches[0].reshape(7, 7, 5).numpy()
    ).reshape(1, -1, 5)
    np.testing.assert_allclose(resample_position(patches, grid, rule).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("grid", [(10, 10), (3, 12)])
def test_register_rule_is_antialiased_to_the_exact_size(grid):
    patches = embedding()
    image = patches.reshape(1, 7, 7, 5).permute(0, 3, 1, 2)
    expected = (
        F.interpolate(image, size=grid, mode="bicubic", antialias=True).flatten(2).transpose(1, 2)
    )
    assert torch.equal(resample_position(patches, grid, "dinov2_reg"), expected)
    assert not torch.allclose(resample_position(patches, grid, "dinov2"), expected, atol=1e-2)


@pytest.mark.parametrize("rule", ["dino", "dinov2", "dinov2_reg"])
def test_native_grid_is_untouched(rule):
    patches = embedding(side=6)
    assert resample_position(patches, (6, 6), rule) is patches


def test_same_count_on_another_shape_is_resampled():
    patches = embedding(side=6)
    assert not torch.equal(resample_position(patches, (4, 9), "dino"), patches)
