"""Fixtures for the whole suite."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session")
def shared():
    """The development data beside the project."""
    if not SHARED.is_dir():
        pytest.skip("the development data (../shared) is not on this machine")
    return SHARED


def draw_photograph(seed, height=60, width=80):
    """A landscape of sky, hills and a disc, with noise: (H, W, 3) uint8."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    image = np.empty((height, width, 3))
    image[:] = (120, 170, 230)
    hill = height * (0.5 + 0.2 * np.sin(columns / width * 6 + seed))
    image[rows > hill] = (70, 120, 50)
    disc = (rows - height * 0.75) ** 2 + (columns - width * (0.2 + 0.6 * generator.random())) ** 2 < (height * 0.15) ** 2
    image[disc] = (200, 40, 40)
    return (image + generator.normal(scale=8, size=image.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def photograph():
    """One drawn photograph, (60, 80, 3) uint8."""
    return draw_photograph(0)


@pytest.fixture
def photographs(tmp_path):
    """A folder of five drawn photographs, one in a sub-folder, of two sizes."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for seed in range(4):
        Image.fromarray(draw_photograph(seed)).save(folder / f"p{seed}.png")
    Image.fromarray(draw_photograph(4, 90, 64)).save(folder / "more" / "p4.png")
    return folder


@pytest.fixture
def small_config():
    """Settings that make every stage take well under a second."""
    base = preset_config("default")
    return dataclasses.replace(
        base,
        num_clusters=3,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(
            base.fit, min_steps=10, epochs=1, kmeans_epochs=1, baseline_epochs=1, checkpoint_every=4, pixels_per_image=64
        ),
    )


@pytest.fixture(scope="session")
def texture():
    """The backbone that needs no weights."""
    from primaps.features.backbone import load_backbone

    return load_backbone("texture", device="cpu")
