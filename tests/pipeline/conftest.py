"""A small finished run that many tests need, made once."""

import dataclasses
import shutil

import numpy as np
import pytest
from PIL import Image

from primaps import pipeline
from primaps.config import preset_config


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, texture):
    """Folder of a run over four photographs with four clusters."""
    root = tmp_path_factory.mktemp("finished")
    photos = root / "photos"
    (photos / "sub").mkdir(parents=True)
    for index in range(4):
        rows, columns = np.mgrid[:48, :64]
        noise = np.random.default_rng(index).normal(scale=8, size=(48, 64, 3))
        image = np.where((rows > 20 + 3 * index)[..., None], (70, 120, 50), (120, 170, 230))
        image = np.where((columns > 40 + 3 * index)[..., None], (200, 40, 40), image) + noise
        name = f"sub/{index}.png" if index % 2 else f"{index}.png"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(photos / name)
    base = preset_config("default")
    config = dataclasses.replace(
        base,
        num_clusters=4,
        features=dataclasses.replace(base.features, size=64),
        fit=dataclasses.replace(base.fit, cluster_restarts=2, proposal_steps=4),
        predict=dataclasses.replace(base.predict, crf=False),
    )
    run = pipeline.open_run([photos], root / "run", texture, config)
    pipeline.segment(run, inputs=[str(photos)])
    return root / "run"


@pytest.fixture
def named_run(finished_run, tmp_path):
    """A copy of it to name things in."""
    return shutil.copytree(finished_run, tmp_path / "run")
