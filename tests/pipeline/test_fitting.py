import dataclasses

import pytest

from primaps import pipeline
from primaps.pipeline.commands import fit_again
from primaps.pipeline.fitting import _phases
from primaps.pipeline.opening import reopen
from primaps.progress import Silent, Stopped
from primaps.runs.store import read_tensors


class Heard(Silent):
    def __init__(self):
        self.began = {}

    def start(self, stage, total, done=0):
        self.began[stage] = done


class Told:
    def __init__(self):
        self.heard = []

    def start(self, stage, total, done=0):
        self.heard.append((stage, total, done))

    def advance(self, steps=1):
        self.heard.append(steps)


def test_phases_become_parts_of_the_stage_when_they_begin():
    told = Told()
    tell = _phases(told)
    for phase, step, total in [
        ("pca", 0, 2),
        ("pca", 1, 2),
        ("pca", 2, 2),
        ("em", 0, 40),
        ("em", 1, 40),
        ("em", 3, 40),
    ]:
        tell(phase, step, total)
    assert told.heard == [("fit: pca", 2, 0), 1, 1, ("fit: em", 40, 0), 1, 2]


def test_what_an_earlier_run_did_is_no_progress_of_this_one():
    told = Told()
    tell = _phases(told)
    for step in (30, 31):
        tell("em", step, 40)
    assert told.heard == [("fit: em", 40, 30), 1]


def test_a_fit_that_is_stopped_loses_no_step(photographs, texture, small_config, cutting, tmp_path):
    """Where it ends, between two checkpoints, makes no difference to anything that is kept."""
    config = dataclasses.replace(
        small_config, fit=dataclasses.replace(small_config.fit, checkpoint_every=1000)
    )

    def folder(name):
        run = pipeline.open_run([photographs], tmp_path / name, texture, config)
        pipeline.proposals(run)
        return run.folder

    whole, half = folder("whole"), folder("half")
    pipeline.fit_again(pipeline.reopen(whole.root, {}, device="cpu"), None)
    for step in (3, 4):  # the second one goes on, and is stopped with its first step
        run = pipeline.reopen(half.root, {}, device="cpu")
        run.progress = cutting.at("fit: em", 3, Stopped)
        with pytest.raises(Stopped):
            pipeline.fit_again(run, None)
        state = read_tensors(half.model / "checkpoint.safetensors")
        assert int(state["step"]) == step
    assert not list((half.model / "snapshots").glob("*"))
    told = Heard()
    pipeline.fit_again(pipeline.reopen(half.root, {}, device="cpu", progress=told), None)
    assert told.began["fit: em"] == 4
    assert sorted(path.name for path in whole.model.rglob("*")) == sorted(
        path.name for path in half.model.rglob("*")
    )
    for path in whole.model.rglob("*.safetensors"):
        assert path.read_bytes() == (half.model / path.relative_to(whole.model)).read_bytes()


def test_a_checkpoint_of_a_fit_that_was_killed_at_its_very_end_goes(named_run):
    left = named_run / "model" / "checkpoint.safetensors"
    left.write_bytes(b"of the last step")
    prototypes = (named_run / "model" / "prototypes.safetensors").read_bytes()
    fit_again(reopen(named_run, {}), None)
    assert not left.exists()
    assert (named_run / "model" / "prototypes.safetensors").read_bytes() == prototypes
