"""Small photographs are enlarged twice at most, unless a preset or a folder says otherwise."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import primaps as pm
from primaps import pipeline
from primaps.config import FeatureConfig, from_record, preset_config, to_dict
from primaps.errors import ConfigError
from primaps.runs.model import Model
from primaps.types import View


@pytest.fixture
def small(tmp_path, draw):
    folder = tmp_path / "small"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(draw(seed, 48, 64)).save(folder / f"{seed}.png")
    Image.fromarray(draw(7, 200, 240)).save(folder / "large.png")
    return folder


def of_size_320(small_config, preset="default"):
    return dataclasses.replace(small_config, features=preset_config(preset).features)


def grids(run):
    return {
        image.name: tuple(run.store.features(image.name, View()).shape[1:]) for image in run.images
    }


@pytest.mark.parametrize(
    ("image", "side"), [((48, 64), 96), ((160, 900), 320), ((159, 170), 318), ((1, 50), 2)]
)
def test_the_side_of_the_input(image, side):
    assert FeatureConfig().side(image) == side
    assert preset_config("paper").features.side(image) == 320
    assert dataclasses.replace(FeatureConfig(), framing="centre-crop").side(image) == 320
    with pytest.raises(ConfigError, match="max_enlargement"):
        dataclasses.replace(preset_config("default"), features=FeatureConfig(max_enlargement=0))


def test_proposals_prototypes_and_label_maps_see_the_same_size(
    small, small_config, texture, tmp_path
):
    run = pipeline.open_run([small], tmp_path / "run", texture, of_size_320(small_config))
    pipeline.segment(run)
    assert grids(run) == {f"{n}.png": (12, 16) for n in range(3)} | {"large.png": (40, 48)}
    model = Model.load(tmp_path / "run")
    assert model.max_enlargement == 2
    segmenter = pm.Segmenter.load(tmp_path / "run", device="cpu")
    assert segmenter.config.features.max_enlargement == 2
    for name in ("0.png", "large.png"):
        with Image.open(tmp_path / "run" / "labels" / f"{name}.png") as labels:
            found = segmenter.predict(small / name)
            assert (found == np.asarray(labels)).mean() > 0.99


def test_the_published_way_enlarges_them_all(small, small_config, texture, tmp_path):
    config = dataclasses.replace(of_size_320(small_config, "paper"), preset="paper")
    config = dataclasses.replace(
        config, features=dataclasses.replace(config.features, photometric_views=0)
    )
    run = pipeline.open_run(
        [small], tmp_path / "run", texture, config, stages=pipeline.PROPOSAL_STAGES
    )
    pipeline.proposals(run)
    assert grids(run)["0.png"] == (40, 53)


def test_a_folder_of_an_earlier_version_goes_on_as_it_began(small, small_config, texture, tmp_path):
    config = of_size_320(small_config)
    before = dataclasses.replace(
        config, features=dataclasses.replace(config.features, max_enlargement=None)
    )
    run = pipeline.open_run([small], tmp_path / "run", texture, before)
    pipeline.segment(run)
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["config"]["features"]["max_enlargement"]
    path.write_text(json.dumps(record))
    Image.fromarray(np.full((40, 40, 3), 9, np.uint8)).save(small / "new.png")
    again = pipeline.open_run([small], tmp_path / "run", texture, config)
    pipeline.segment(again)
    assert grids(again)["new.png"] == (40, 40)
    assert from_record(record["config"]).features.max_enlargement is None
    assert again.settings() == run.settings()
    assert to_dict(config)["features"]["max_enlargement"] == 2
