"""The script that draws the pictures of the method, on drawn photographs."""

import importlib.util
import io
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.config import preset_config
from primaps.data.demo_views import Source
from primaps.heads.loading import load_backbone

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "tools"))
    yield __import__("draw_method_pictures")
    sys.path.remove(str(ROOT / "tools"))


@pytest.fixture
def source(tmp_path, monkeypatch, photograph):
    Image.fromarray(photograph).save(tmp_path / "one.png")
    origin = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: origin if name == "carrier" else real(name, *rest),
    )
    return Source("one", "carrier", "one.png", "CC0")


@pytest.fixture(scope="module")
def texture():
    return load_backbone("texture", device="cpu")


def picture(data):
    with Image.open(io.BytesIO(data)) as opened:
        return opened.format, np.asarray(opened.convert("RGB"))


def test_every_picture_of_the_pages_is_drawn_and_small(script, tmp_path):
    drawn = set(script.pictures(tmp_path))
    pages = "".join(path.read_text("utf-8") for path in (ROOT / "docs").rglob("*.md"))
    shown = set(re.findall(r"images/((?:method|em)-[^)]+)[)]", pages))
    assert shown == drawn
    for name in drawn:
        assert (ROOT / "docs" / "images" / name).stat().st_size < 150_000


def test_steps_of_a_photograph(script, source, texture):
    config = preset_config("default")
    for draw in (script.draw_rounds, script.draw_crf):
        kind, pixels = picture(draw(source, texture, config))
        assert kind == "JPEG"
        assert np.ptp(pixels) > 200
    assert script.draw_features(source, texture) == script.draw_features(source, texture)


def test_different_features_have_different_colours(script):
    features = torch.zeros(4, 3, 4)
    features[0, :, :2] = features[1, :, 2:] = 1
    colours = script.feature_colours(features).astype(int)
    assert np.abs(colours[:, 0] - colours[:, 3]).max() > 200
    assert (colours[:, 0] == colours[0, 0]).all()


def test_tiles_lie_below_their_titles(script):
    tiles = [np.full((30, 40, 3), shade, np.uint8) for shade in (40, 90)]
    pixels = np.asarray(script.sheet([tiles], ("a", "b")))
    row = script.MARGIN + script.HEAD + 15
    assert [pixels[row, script.MARGIN + 20 + place * 48, 0] for place in (0, 1)] == [40, 90]


def test_label_maps_of_two_views_stand_beside_one_another(script, monkeypatch, source, photograph):
    from draw_readme_picture import Shown

    def painted(run, name):
        shade = {"one-left.png": 40, "one-below.png": 200}[name]
        pictures = (photograph, photograph, np.full_like(photograph, shade))
        return Shown(pictures, np.zeros(photograph.shape[:2], np.int32))

    monkeypatch.setattr(script, "painted", painted)
    _, pixels = picture(script.draw_classes(None, [source]))
    row, width = script.MARGIN + script.HEAD + 20, script.SMALL_TILE + script.GAP
    places = [script.MARGIN + column * width + 100 for column in (2, 3)]
    assert [round(int(pixels[row, place, 0]), -1) for place in places] == [40, 200]


def test_the_code_of_the_page_is_what_is_drawn(script, tmp_path, photograph):
    for number, name in enumerate(("red-left", "red-right", "blue-left")):
        Image.fromarray(np.roll(photograph, number, 2)).save(tmp_path / f"{name}.png")
    kind, pixels = picture(script.draw_em(tmp_path))
    assert kind == "PNG"
    assert np.ptp(pixels) > 200
