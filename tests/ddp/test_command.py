"""The command line with several processes."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from primaps import pipeline
from primaps.cli import app

OTHER = (".primaps-lock", ".primaps-names-lock", "classes.yaml", "curves.json")
"""Beside the model: held while the command works; names, which a run keeps one folder up; measured
from the finished fit, for the events.
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def stored(photographs, tmp_path, texture, small_config):
    """A finished run with a model fitted by one process."""
    work = pipeline.open_run(
        [photographs],
        tmp_path / "run",
        texture,
        small_config,
        stages=(*pipeline.PROPOSAL_STAGES, "fit"),
    )
    with pipeline.finishing(work, "segment", []):
        pipeline.extract(work)
        pipeline.fit(work)
    return tmp_path / "run"


@pytest.mark.slow
def test_fit_writes_the_same_files(stored, tmp_path):
    arguments = [
        "--model",
        tmp_path / "other",
        "--tensorboard",
        tmp_path / "events",
        "--device",
        "cpu",
    ]
    result = run("fit", stored, "--classes", 3, "--processes", 2, *arguments)
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "events").glob("events.out.tfevents.*"))
    assert "fit: em" in result.output
    one, two = (
        {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*.*")
            # Names have their history where they are edited: beside a model of its own.
            if path.name not in OTHER and path.parent.name != "classes-history"
        }
        for folder in (stored / "model", tmp_path / "other")
    )
    assert one == two
    assert {
        "prototypes.safetensors",
        "model.json",
        "snapshots/step-0000004.safetensors",
    } <= one.keys()

    result = run("fit", stored, "--classes", 3, "--processes", 0)
    assert result.exit_code == 2
    assert "number of processes to be 1 or more, but got 0" in result.output


@pytest.mark.slow
def test_evaluate_writes_the_same_scores(stored, trees, tmp_path):
    root = tmp_path / "potsdam"
    trees.write_potsdam(root)
    arguments = [
        "evaluate",
        "--model",
        stored,
        "--dataset",
        "potsdam",
        "--root",
        root,
        "--split",
        "test",
        "--device",
        "cpu",
    ]
    for count in (1, 2):
        result = run(*arguments, "--processes", count, "--json", tmp_path / f"{count}.json")
        assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "1.json").read_text()) == json.loads(
        (tmp_path / "2.json").read_text()
    )


def test_evaluate_by_no_process_is_a_usage_error(trees, tmp_path):
    trees.write_potsdam(tmp_path)
    arguments = ["--dataset", "potsdam", "--root", tmp_path, "--split", "test", "--device", "cpu"]
    result = run("evaluate", "--model", tmp_path, *arguments, "--processes", 0)
    assert result.exit_code == 2
    assert "number of processes to be 1 or more, but got 0" in result.output


@pytest.mark.slow
def test_torchrun_is_as_many_processes(stored, tmp_path):
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    fit = ["-m", "primaps", "fit", stored, "--model", tmp_path / "other", "--classes", "3"]
    done = subprocess.run(
        [*start, *fit, "--device", "cpu"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Model: ") == 1
    one, two = (
        (folder / "prototypes.safetensors").read_bytes()
        for folder in (stored / "model", tmp_path / "other")
    )
    assert one == two


def test_torchrun_and_processes_have_to_agree(stored, monkeypatch):
    values = {"TORCHELASTIC_RUN_ID": "none", "RANK": "0", "WORLD_SIZE": "2"}
    for name, value in {**values, "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    result = run("fit", stored, "--processes", 3)
    assert result.exit_code == 2
    assert "Expected --processes 2, as many as torchrun has started, but got 3" in result.output
