"""Curves of a run: kept beside the model, shown in the report, the same after a kill; events of
`primaps fit`.
"""

import dataclasses
import importlib.util
import json
import re
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from primaps import pipeline
from primaps.cli import app
from primaps.errors import CheckpointError
from primaps.pipeline.fit_curves import fit_curves, kept_curves
from primaps.pipeline.fitting import read_snapshots
from primaps.runs.model import Model
from primaps.types import View


def opened(photographs, out, backbone, config, **options):
    return pipeline.open_run([str(photographs)], out, backbone, config, **options)


@pytest.fixture
def run(photographs, tmp_path, texture, small_config):
    """A finished run: 10 steps of EM, checkpoints after 4 and 8."""
    done = opened(photographs, tmp_path / "run", texture, small_config)
    pipeline.segment(done)
    return done


def test_curves_are_those_of_the_stored_features(run):
    model = Model.load(run.folder.model)
    curves = fit_curves(run, model, run.folder.model)
    assert curves.steps.tolist() == [4, 8, 10]
    assert curves.losses.tolist() == list(model.fit.losses)
    assert curves.usage[-1] == pytest.approx(model.fit.usage.numpy() / int(model.fit.usage.sum()))
    snapshots = read_snapshots(model, run.folder.model)
    for number, one in enumerate(snapshots):
        alike = []
        for image in run.usable_images():
            tokens = run.store.features(image.name, View()).float().flatten(1).T
            alike += (
                (tokens @ one.teacher.T).argmax(1) == (tokens @ one.student.T).argmax(1)
            ).tolist()
        assert curves.agreement[number] == pytest.approx(np.mean(alike))


def shown(run):
    """The curves in the report."""
    page = run.folder.report.read_text("utf-8")
    return json.loads(re.search(r'id="run">(.*?)</script>', page).group(1))["curves"]


def test_the_report_holds_every_step_and_snapshot(run):
    model = Model.load(run.folder.model)
    curves, held = fit_curves(run, model, run.folder.model), shown(run)
    assert held["losses"] == pytest.approx(curves.losses, abs=1e-6)
    assert held["steps"] == curves.steps.tolist()
    assert np.array(held["usage"]) == pytest.approx(curves.usage, abs=1e-6)
    assert held["agreement"] == pytest.approx(curves.agreement, abs=1e-6)


def test_they_are_measured_once(run, monkeypatch):
    monkeypatch.setattr(
        "primaps.pipeline.fit_curves.measure_curves", lambda *_, **__: pytest.fail("measured again")
    )
    before = shown(run)
    pipeline.report_again(run)
    assert shown(run) == before


def test_what_lies_beside_a_model_is_read_without_measuring(run):
    model = Model.load(run.folder.model)
    curves = fit_curves(run, model, run.folder.model)
    found = kept_curves(run.folder.model, model.fingerprint, model.fit.losses)
    assert found.usage.tolist() == curves.usage.tolist()
    other = kept_curves(run.folder.model, "another", model.fit.losses)
    assert other.losses.tolist() == list(model.fit.losses)
    assert len(other.steps) == 0
    assert kept_curves(run.folder.model, model.fingerprint, ()) is None


def test_a_damaged_file_of_curves_is_an_error(run):
    path = run.folder.model / "curves.json"
    record = json.loads(path.read_text("utf-8"))
    del record["usage"]
    path.write_text(json.dumps(record), "utf-8")
    with pytest.raises(CheckpointError, match="'usage' is missing"):
        fit_curves(run, Model.load(run.folder.model), run.folder.model)


def test_without_snapshots_the_loss_is_shown(run):
    shutil.rmtree(run.folder.model / "snapshots")
    (run.folder.model / "curves.json").unlink()
    notes = []
    run.progress.note = notes.append
    pipeline.report_again(run)
    held = shown(run)
    assert held["losses"]
    assert held["steps"] == held["usage"] == held["agreement"] == []
    assert any("only the loss" in note for note in notes)


def test_a_model_that_says_nothing_about_its_fit_has_no_curves(run):
    model = Model.load(run.folder.model)
    imported = dataclasses.replace(model, fit=dataclasses.replace(model.fit, losses=()))
    assert fit_curves(run, imported, run.folder.model) is None


def kept(folder):
    return {
        path.name: path.read_bytes()
        for path in [folder / "curves.json", *(folder / "snapshots").iterdir()]
    }


def test_a_killed_run_ends_with_the_same_snapshots_and_curves(
    run, photographs, tmp_path, texture, small_config, cutting
):
    out = tmp_path / "other"
    for step in (3, 6):
        with cutting.short():
            pipeline.segment(
                opened(
                    photographs, out, texture, small_config, progress=cutting.at("fit: em", step)
                )
            )
    pipeline.segment(opened(photographs, out, texture, small_config))
    assert len(kept(out / "model")) == 3
    assert kept(out / "model") == kept(run.folder.model)


def test_snapshots_of_an_earlier_fit_do_not_stay(run, photographs, texture, small_config):
    short = dataclasses.replace(
        small_config, fit=dataclasses.replace(small_config.fit, proposal_steps=5)
    )
    pipeline.segment(opened(photographs, run.folder.root, texture, short, overwrite=True))
    assert sorted(path.name for path in (run.folder.model / "snapshots").iterdir()) == [
        "step-0000004.safetensors"
    ]
    model = Model.load(run.folder.model)
    assert fit_curves(run, model, run.folder.model).steps.tolist() == [4, 5]


# ---- events --------------------------------------------------------------------------------------


def refit(run, *options):
    return CliRunner().invoke(
        app, ["fit", str(run.folder.root), "--classes", "3", "--device", "cpu", *map(str, options)]
    )


def test_fit_writes_events(run, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: tensorboard)")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model, logs = tmp_path / "model", tmp_path / "logs"
    result = refit(run, "--model", model, "--seed", 1, "--tensorboard", logs)
    assert result.exit_code == 0, result.stderr
    found = EventAccumulator(str(logs), size_guidance={"scalars": 0}).Reload()
    curves = json.loads((model / "curves.json").read_text("utf-8"))
    assert [event.value for event in found.Scalars("loss")] == pytest.approx(curves["losses"])
    assert [event.step for event in found.Scalars("agreement")] == curves["steps"]
    assert [event.value for event in found.Scalars("usage/002")] == pytest.approx(
        [row[2] for row in curves["usage"]]
    )


def test_fit_without_tensorboard_names_the_extra_before_it_works(run, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else real(name, *rest),
    )
    result = refit(run, "--model", tmp_path / "model", "--tensorboard", tmp_path / "logs")
    assert result.exit_code == 2
    assert "primaps[tensorboard]" in "".join(result.stderr.split())
    assert not (tmp_path / "model").exists()
