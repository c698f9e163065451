"""A small labelled data set: drawn scenes of sky, hill and disc."""

import numpy as np
import pytest
from PIL import Image

CLASSES = ("sky", "hill", "disc", "absent")


def scene(seed, height=60, width=80):
    """A photograph (H, W, 3) uint8 and its labels (H, W) uint8; the first rows are unlabelled,
    class 3 occurs nowhere.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    labels = (rows > height * (0.5 + 0.2 * np.sin(columns / width * 6 + seed))).astype(np.uint8)
    centre = width * (0.3 + 0.4 * generator.random())
    labels[(rows - height * 0.75) ** 2 + (columns - centre) ** 2 < (height * 0.15) ** 2] = 2
    colours = np.array([(120, 170, 230), (70, 120, 50), (200, 40, 40)])[labels]
    photo = (colours + generator.normal(scale=8, size=colours.shape)).clip(0, 255).astype(np.uint8)
    labels[:3] = 255
    return photo, labels


def draw_scenes(root, splits):
    for split, seeds in splits.items():
        for name, part in (("images", 0), ("labels", 1)):
            (root / name / split).mkdir(parents=True)
            for seed in seeds:
                Image.fromarray(scene(seed)[part]).save(root / name / split / f"scene{seed}.png")
    (root / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    return root


@pytest.fixture(scope="module", autouse=True)
def usual_start():
    """`texture`, which is fast, stands for backbones with which EM starts from proposals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("primaps.pipeline.settings.start_for", lambda _: "proposals")
        yield


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Root of a data set "folder": 7 scenes in train, 4 in val, 60 x 80 pixels. Not to be
    changed.
    """
    return draw_scenes(
        tmp_path_factory.mktemp("data") / "scenes", {"train": range(7), "val": range(20, 24)}
    )
