"""The script that draws the picture of the README, on drawn photographs."""

import dataclasses
import importlib.util
import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.config import preset_config
from primaps.data.demo_views import Source

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(TOOLS))
    yield __import__("draw_readme_picture")
    sys.path.remove(str(TOOLS))


def test_only_photographs_without_conditions_are_shown(script):
    assert {source.title for source in script.FREE} == {"cat", "coffee", "rocket", "astronaut"}
    assert not any("BY" in source.rights for source in script.FREE)


def test_tiles_keep_the_shape_of_things(script):
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[120:180, 120:180] = 255
    tile = np.asarray(script.fitted(Image.fromarray(picture)))[..., 0] > 127
    assert tile.shape == script.TILE[::-1]
    rows, columns = tile.any(axis=1).sum(), tile.any(axis=0).sum()
    assert abs(int(rows) - int(columns)) <= 1
    assert rows / tile.shape[1] == pytest.approx(60 / 300, abs=0.02)


def test_the_sheet_holds_every_tile_in_its_place(script):
    shades = iter(range(10, 250, 20))
    labels = np.zeros((62, 92), np.int32)
    rows = [
        [
            script.Shown(
                tuple(np.full((62, 92, 3), next(shades), np.uint8) for _ in range(3)), labels
            )
            for _ in range(2)
        ]
        for _ in range(2)
    ]
    sheet = np.asarray(script.arranged(rows, {}))
    block = 3 * (script.TILE[0] + script.GAP) - script.GAP
    for row in range(2):
        for view in range(2):
            for column in range(3):
                x = (
                    script.MARGIN
                    + view * (block + script.BETWEEN)
                    + column * (script.TILE[0] + script.GAP)
                    + script.TILE[0] // 2
                )
                y = (
                    script.MARGIN
                    + script.HEAD
                    + row * (script.TILE[1] + script.GAP)
                    + script.TILE[1] // 2
                )
                assert sheet[y, x, 0] == rows[row][view].pictures[column][0, 0, 0]


def test_a_name_stands_in_the_widest_part_of_its_largest_region(script):
    labels = np.zeros((124, 184), np.int32)
    labels[:, 92:] = 1
    labels[60:64, 4:8] = 1
    tile = Image.new("RGB", script.TILE, (200, 200, 200))
    script.tag(tile, labels, {1: "sky"})
    changed = np.argwhere((np.asarray(tile) != 200).any(axis=2))
    assert len(changed) > 0
    assert changed[:, 1].min() > 92


def test_neither_small_regions_nor_those_without_a_name_are_tagged(script):
    labels = np.zeros((124, 184), np.int32)
    labels[:5, :5] = 1
    tile = Image.new("RGB", script.TILE, (200, 200, 200))
    script.tag(tile, labels, {1: "speck", 2: "absent"})
    assert (np.asarray(tile) == 200).all()


def test_the_picture_comes_from_a_run_of_the_package(script, monkeypatch, tmp_path, photograph):
    sources = []
    for title, picture in (("one", photograph), ("two", photograph[:, ::-1])):
        Image.fromarray(picture).save(tmp_path / f"{title}.png")
        sources.append(Source(title, "carrier", f"{title}.png", "CC0"))
    origin = types.SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: origin if name == "carrier" else real(name, *rest),
    )
    base = preset_config("fast")
    small = dataclasses.replace(base, features=dataclasses.replace(base.features, size=64))
    monkeypatch.setattr(script, "preset_config", lambda _: small)
    monkeypatch.setattr(
        script, "SHOWN", ((("one", "left"), ("one", "below")), (("two", "left"), ("two", "below")))
    )
    monkeypatch.setattr(script, "PLACES", (("one-left.png", 0.5, 0.5, "thing"),))
    data = script.draw(sources, classes=3, seed=0, backbone="texture")
    shown = script.Shown((photograph,) * 3, np.zeros(photograph.shape[:2], np.int32))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.size == script.arranged([[shown] * 2] * 2, {}).size
        pixels = np.asarray(picture.convert("RGB"))
    left = script.MARGIN + 2 * (script.TILE[0] + script.GAP)
    labels = (
        pixels[script.MARGIN + script.HEAD :, left : left + script.TILE[0]]
        .reshape(-1, 3)
        .astype(int)
    )
    colourful = np.ptp(labels, axis=1) > 40
    assert colourful.mean() > 0.5
