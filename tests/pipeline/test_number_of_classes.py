import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.classes import read_classes
from primaps.pipeline.number_of_classes import lower_number
from primaps.progress import Silent
from primaps.runs.model import Model
from primaps.runs.run import RunFolder
from primaps.segmenter import Segmenter
from primaps.types import NumberChoice

COLOURS = np.array(
    [
        (120, 170, 230),
        (70, 120, 50),
        (200, 40, 40),
        (230, 200, 60),
        (90, 60, 130),
        (225, 225, 225),
        (50, 50, 55),
        (240, 130, 180),
    ]
)


def surfaces(rows, columns, generator):
    """(H, W, 8) pattern of every kind of surface."""
    patterns = [
        0 * rows,
        generator.normal(scale=35, size=rows.shape),
        45 * np.sign(np.sin(0.5 * rows) * np.sin(0.5 * columns)),
        45 * np.sign(np.sin(1.2 * columns)),
        45 * np.sign(np.sin(0.6 * rows)),
        -90 * ((rows % 10 - 5) ** 2 + (columns % 10 - 5) ** 2 < 8),
        45 * np.sign(np.sin(0.45 * (rows + columns))),
        45 * np.sign(np.sin(0.2 * rows) + np.sin(0.2 * columns)),
    ]
    return np.stack(patterns, axis=-1)


def draw_kinds(kinds, seed, height=120, width=160):
    """A scene of cells of two to four of so many kinds of surface, (H, W, 3) uint8."""
    generator = np.random.default_rng([kinds, seed])
    shown = generator.permutation(kinds)[: 2 + int(generator.integers(3))]
    own = np.concatenate([shown, generator.choice(shown, len(shown) // 2)])
    points = generator.random((len(own), 2)) * (height, width)
    rows, columns = np.mgrid[:height, :width].astype(float)
    apart = (rows[..., None] - points[:, 0]) ** 2 + (columns[..., None] - points[:, 1]) ** 2
    labels = own[apart.argmin(-1)]
    pattern = np.take_along_axis(surfaces(rows, columns, generator), labels[..., None], -1)
    image = COLOURS[labels] + pattern + generator.normal(scale=8, size=(height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture
def auto(small_config):
    return dataclasses.replace(
        small_config,
        num_clusters=None,
        predict=dataclasses.replace(small_config.predict, crf=False),
    )


def drawn(folder, kinds, count):
    folder.mkdir(parents=True)
    for seed in range(count):
        Image.fromarray(draw_kinds(kinds, seed)).save(folder / f"{seed}.png")
    return folder


def record(folder):
    return json.loads((folder / "run.json").read_text())


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def test_a_run_proposes_once_and_keeps_to_it(tmp_path, photographs, texture, auto):
    told = Notes()
    run = pipeline.open_run([photographs], tmp_path / "run", texture, auto, progress=told)
    pipeline.segment(run)
    first = record(tmp_path / "run")
    value = first["number_of_classes"]["value"]
    assert [each for each in told.notes if f"{value} classes are proposed" in each]
    assert first["config"]["num_clusters"] is None
    assert first["settings"]["fit"]["num_clusters"] == value
    assert Model.load(tmp_path / "run").num_clusters == value
    page = (tmp_path / "run" / "report.html").read_text()
    assert f'"number":{{"value":{value},"curve":[[' in page
    Image.fromarray(draw_kinds(8, 5)).save(photographs / "added.png")
    again = pipeline.open_run([photographs], tmp_path / "run", texture, auto)
    assert again.num_clusters == value
    pipeline.segment(again)
    assert record(tmp_path / "run")["number_of_classes"] == first["number_of_classes"]
    assert len(read_classes(tmp_path / "run").classes) == value


def test_a_given_number_and_auto_differ(tmp_path, photographs, texture, auto):
    given = dataclasses.replace(auto, num_clusters=4)
    pipeline.segment(pipeline.open_run([photographs], tmp_path / "run", texture, given))
    assert "number_of_classes" not in record(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"fit\.num_clusters: 4 -> None"):
        pipeline.open_run([photographs], tmp_path / "run", texture, auto)
    run = pipeline.open_run([photographs], tmp_path / "run", texture, auto, overwrite=True)
    pipeline.segment(run)
    assert run.num_clusters == record(tmp_path / "run")["number_of_classes"]["value"]
    pipeline.segment(
        pipeline.open_run([photographs], tmp_path / "run", texture, given, overwrite=True)
    )
    assert "number_of_classes" not in record(tmp_path / "run")
    assert RunFolder(tmp_path / "run").num_clusters == 4


def test_fit_proposes_from_what_is_stored(tmp_path, photographs, texture, auto):
    given = dataclasses.replace(auto, num_clusters=4)
    out = tmp_path / "run"
    pipeline.segment(pipeline.open_run([photographs], out, texture, given))

    def again():
        return pipeline.reopen(out, {"num_clusters": None}, device="cpu")

    model = pipeline.fit_again(again(), tmp_path / "model")
    assert pipeline.fit_again(again(), tmp_path / "model").fingerprint == model.fingerprint
    assert record(out)["settings"]["fit"]["num_clusters"] == 4
    with pytest.raises(ConfigError, match="--overwrite"):
        pipeline.fit_again(again(), None)
    assert pipeline.fit_again(again(), None, overwrite=True).fingerprint == model.fingerprint
    assert record(out)["number_of_classes"]["value"] == model.num_clusters
    plain = pipeline.reopen(out, {}, device="cpu")
    assert plain.num_clusters == model.num_clusters


def test_a_segmenter_proposes_too(photographs, texture, auto):
    segmenter = Segmenter(texture, "auto", config=auto).fit(photographs)
    assert segmenter.model.num_clusters >= 2


def test_classes_that_own_nothing_lower_the_number(tmp_path, photographs, texture, auto):
    run = pipeline.open_run([photographs], tmp_path / "run", texture, auto)
    run.chosen_number = NumberChoice(5, ((5, 1.0),))
    assert not lower_number(run, (), recorded=False)
    assert lower_number(run, (1, 3), recorded=True)
    assert run.num_clusters == 3
    assert RunFolder(tmp_path / "run").number == NumberChoice(3, ((5, 1.0),))
    assert lower_number(run, (0, 1, 2), recorded=False)
    assert run.num_clusters == 2
    assert not lower_number(run, (0,), recorded=False)
    run.config = dataclasses.replace(run.config, num_clusters=5)
    assert not lower_number(run, (1,), recorded=False)


def test_one_photograph_leaves_no_class_empty(tmp_path, texture, auto):
    folder = drawn(tmp_path / "one", 5, count=1)
    pipeline.segment(pipeline.open_run([folder], tmp_path / "run", texture, auto))
    assert Model.load(tmp_path / "run").fit.dead_clusters == ()


@pytest.mark.parametrize("kinds", [3, 5, 8])
def test_within_one_of_the_truth(tmp_path, texture, auto, kinds):
    config = dataclasses.replace(auto, features=dataclasses.replace(auto.features, size=160))
    folder = drawn(tmp_path / "scenes", kinds, count=24)
    run = pipeline.open_run([folder], tmp_path / "run", texture, config)
    pipeline.extract(run)
    pipeline.fit(run)
    assert abs(run.folder.number.value - kinds) <= 1


def test_another_fit_with_a_proposed_number_starts_from_proposals(
    tmp_path, photographs, texture, auto
):
    fit = dataclasses.replace(auto.fit, initialise="pca")
    given = dataclasses.replace(auto, num_clusters=3, fit=fit)
    pipeline.proposals(pipeline.open_run([photographs], tmp_path / "run", texture, given))
    for changes, start in (
        ({"num_clusters": None}, "proposals"),
        ({"num_clusters": None, "initialise": "pca"}, "pca"),
        ({"num_clusters": 4}, "pca"),
    ):
        run = pipeline.reopen(tmp_path / "run", changes, device="cpu")
        assert run.config.fit.initialise == start
