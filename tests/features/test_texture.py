from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.features.colour import rgb_to_lab
from primaps.features.texture import WINDOWS, statistics
from primaps.features.texture_table import TABLE
from primaps.heads.loading import load_backbone
from primaps.types import FeatureExtractor

ROW = {name: index for index, (name, _, _) in enumerate(TABLE)}
PHOTOGRAPHS = Path(__file__).parents[2].parent / "shared" / "data" / "bsds500" / "val"


@pytest.fixture(scope="module")
def texture():
    return load_backbone("texture", device="cpu")


def noise(height=64, width=96, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_follows_the_protocol(texture):
    assert isinstance(texture, FeatureExtractor)
    assert texture.extract(np.zeros((50, 70, 3), np.uint8), size=64).shape == (196, 8, 11)
    assert texture.describe()["implementation"] == "texture"
    assert not list(texture.parameters())


def test_lab_equals_scikit_image():
    color = pytest.importorskip("skimage.color")
    rgb = noise(16, 16)
    rgb[0, :, 0, :2] = torch.tensor([[0.0, 1.0]] * 3)
    expected = color.rgb2lab(rgb[0].permute(1, 2, 0).double().numpy()) / 100
    np.testing.assert_allclose(rgb_to_lab(rgb)[0].permute(1, 2, 0).numpy(), expected, atol=2e-4)


def test_window_statistics_equal_a_plain_loop():
    rgb = noise(56, 40)
    lab, found = rgb_to_lab(rgb)[0].double().numpy(), statistics(rgb)[0].numpy()
    for window, side in enumerate(WINDOWS):
        for row, column in ((0, 0), (3, 2), (6, 4)):
            reach = side // 2
            cells = [
                lab[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].reshape(3, -1)
                for i in range(max(0, row - reach), min(7, row + reach + 1))
                for j in range(max(0, column - reach), min(5, column + reach + 1))
            ]
            pixels = np.concatenate(cells, axis=1)
            np.testing.assert_allclose(found[0:3, window, row, column], pixels.mean(1), atol=1e-4)
            np.testing.assert_allclose(
                found[3:6, window, row, column], np.log(pixels.std(1) + 0.01), atol=2e-3
            )


@pytest.mark.parametrize(
    ("direction", "expected"), [("x", "0"), ("y", "90"), ("down", "45"), ("up", "135")]
)
def test_oriented_energy_finds_the_direction_of_a_grating(direction, expected):
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    phase = {"x": x, "y": y, "down": (x + y) / 2**0.5, "up": (x - y) / 2**0.5}[direction]
    grating = (0.5 + 0.3 * torch.sin(phase * 0.8)).expand(1, 3, 64, 64)
    energies = statistics(grating)[0, :, 0].mean((1, 2))
    by_direction = {
        angle: float(energies[ROW[f"oriented 1 {angle}"]]) for angle in ("0", "45", "90", "135")
    }
    assert max(by_direction, key=by_direction.get) == expected
    assert max(by_direction.values()) > sorted(by_direction.values())[-2] + 0.1


def test_histogram_sums_to_one_inside_its_range():
    grey = torch.full((1, 3, 16, 16), 0.4)
    squares = statistics(grey)[0].square()
    for channel in "Lab":
        bins = [squares[ROW[f"histogram {channel} {index}"]] for index in range(7)]
        torch.testing.assert_close(torch.stack(bins).sum(0), torch.ones(4, 2, 2), atol=1e-4, rtol=0)


def test_mirrored_image_gives_mirrored_features(texture):
    batch = noise() * 2 - 1
    features, mirrored = texture.forward(batch), texture.forward(batch.flip(-1)).flip(-1)
    order = list(range(len(TABLE)))
    for scale in (1, 2, 4):
        down, up = ROW[f"oriented {scale} 45"], ROW[f"oriented {scale} 135"]
        order[down], order[up] = up, down
    channels = [4 * row + window for row in order for window in range(4)]
    torch.testing.assert_close(mirrored[:, channels], features[:, :192], atol=2e-3, rtol=1e-3)
    signs = torch.tensor([1.0, -1.0, 1.0, 1.0])[:, None, None]
    torch.testing.assert_close(mirrored[:, 192:] * signs, features[:, 192:], atol=1e-5, rtol=0)


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    value=st.sampled_from([-9.0, 0.0, 9.0, None]),
)
def test_finite_at_every_size_and_value(height, width, value):
    texture = load_backbone("texture", device="cpu")
    batch = (
        torch.randn(1, 3, 8 * height, 8 * width)
        if value is None
        else torch.full((1, 3, 8 * height, 8 * width), value)
    )
    features = texture.forward(batch)
    assert features.shape == (1, 196, height, width)
    assert bool(features.isfinite().all())
    assert bool((features.norm(dim=1) > 1).all())


def test_deterministic(texture):
    assert torch.equal(texture.forward(noise()), texture.forward(noise()))


def test_photographs_are_centred_and_of_norm_sqrt_dim(texture):
    files = sorted(PHOTOGRAPHS.glob("*.jpg"))[:12]
    if not files:
        pytest.skip("BSDS500 photographs are not here")
    from PIL import Image

    tokens = [
        texture.extract(np.asarray(Image.open(file).convert("RGB"))).flatten(1)[:, ::5]
        for file in files
    ]
    tokens = torch.cat(tokens, dim=1)
    assert 0.75 < float(tokens.square().mean()) < 1.3
    unit = torch.nn.functional.normalize(tokens, dim=0)
    assert float(unit.mean(1).square().sum()) < 0.08  # mean cosine of two random tokens
    cosines = (unit[:, ::7].T @ unit[:, ::7]).flatten()
    low, high = cosines.quantile(torch.tensor([0.1, 0.9]))
    assert low < -0.2
    assert high > 0.2
