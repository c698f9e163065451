"""Outputs never lie among those of another run, of a model or of photographs."""

import os

import pytest

from primaps import pipeline
from primaps.errors import ConfigError
from primaps.pipeline.places import OWN, refuse_own_outputs, refuse_place
from primaps.runs.model import Model
from primaps.runs.run import RunFolder
from primaps.types import ImageFile


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("inside", ["labels", "store/deep", "model", "link/labels"])
def test_nothing_is_written_among_the_outputs_of_a_run(
    named_run, photographs, texture, small_config, tmp_path, inside
):
    (tmp_path / "link").symlink_to(named_run)
    out = tmp_path / inside if inside.startswith("link") else named_run / inside
    before = files(named_run)
    with pytest.raises(ConfigError, match="outside the outputs of a run"):
        pipeline.predict_images([photographs], out, texture, Model.load(named_run), small_config)
    with pytest.raises(ConfigError, match="outside the outputs of a run"):
        pipeline.open_run([photographs], out, texture, small_config)
    run = pipeline.reopen(named_run, {}, device="cpu")
    with pytest.raises(ConfigError, match="outside the outputs of a run"):
        pipeline.fit_again(run, out)
    assert files(named_run) == before


def test_folders_of_other_names_in_a_run_are_free(named_run):
    refuse_place(named_run / "my-predictions")
    refuse_place(named_run / "candidates" / "1")


def test_a_folder_named_labels_alone_is_no_run(tmp_path):
    refuse_place(tmp_path / "labels" / "out")


def test_a_saved_model_is_no_place_for_a_run(
    named_run, photographs, texture, small_config, tmp_path
):
    model = Model.load(named_run)
    model.save(tmp_path / "saved")
    before = files(tmp_path / "saved")
    with pytest.raises(ConfigError, match="holds a model"):
        pipeline.predict_images([photographs], tmp_path / "saved", texture, model, small_config)
    with pytest.raises(ConfigError, match="holds a model"):
        pipeline.open_run([photographs], tmp_path / "saved", texture, small_config)
    assert files(tmp_path / "saved") == before


def test_own_label_maps_are_no_photographs_of_the_same_run(named_run, texture, small_config):
    before = files(named_run)
    for given in (named_run / "labels", f"{named_run}/labels/*.png"):
        with pytest.raises(ConfigError, match="would be removed or replaced"):
            pipeline.open_run([given], named_run, texture, small_config)
    assert files(named_run) == before


def test_photographs_elsewhere_in_the_output_folder_are(tmp_path):
    refuse_own_outputs([ImageFile(tmp_path / "photographs" / "a.jpg", "a.jpg")], tmp_path)


def test_models_lie_beside_runs_and_photographs(named_run, tmp_path):
    run = pipeline.reopen(named_run, {}, device="cpu")
    with pytest.raises(ConfigError, match="Leave it out to fit the run's own model"):
        pipeline.fit_again(run, named_run)
    with pytest.raises(ConfigError, match="another one than the photographs'"):
        pipeline.fit_again(run, run.images[0].path.parent)
    assert not (run.images[0].path.parent / "model.json").exists()
    pipeline.fit_again(run, tmp_path / "beside")
    assert (tmp_path / "beside" / "model.json").exists()


def test_the_list_of_own_folders_is_complete(named_run):
    """What a run makes is either here or a file at its top."""
    made = {entry.name for entry in os.scandir(named_run) if entry.is_dir()}
    assert made <= OWN
    assert RunFolder(named_run).store.name in OWN
