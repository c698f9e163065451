import dataclasses

import pytest

from primaps import pipeline
from primaps.pipeline import extraction_for_fit
from primaps.pipeline.extraction_for_fit import extract_for_fit


@pytest.fixture
def config(small_config):
    return dataclasses.replace(
        small_config,
        features=dataclasses.replace(small_config.features, flip=True),
        fit=dataclasses.replace(small_config.fit, initialise="pca", em_on="pixels"),
        store="light",
    )


@pytest.fixture
def asked(monkeypatch):
    """How many views were asked for."""
    extract, asked = extraction_for_fit.extract, []

    def told(run, views):
        asked.append(views)
        extract(run, views)

    monkeypatch.setattr(extraction_for_fit, "extract", told)
    return asked


def test_views_are_made_only_for_a_fit_to_come(photographs, tmp_path, texture, config, asked):
    def opened(changed=config):
        run = pipeline.open_run([photographs], tmp_path / "run", texture, changed, overwrite=True)
        pipeline.segment(run)

    opened()
    assert asked == [2]
    asked.clear()
    opened()
    assert asked == [1]
    asked.clear()
    opened(dataclasses.replace(config, seed=1))
    assert asked == [1, 2]


def test_the_folder_of_another_model_counts(photographs, tmp_path, texture, config, asked):
    run = pipeline.open_run([photographs], tmp_path / "run", texture, config)
    pipeline.segment(run)
    asked.clear()
    again = pipeline.open_run([photographs], tmp_path / "run", texture, config)
    extract_for_fit(again, tmp_path / "model")
    assert asked == [2]
