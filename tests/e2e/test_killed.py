"""Killed at a random moment of every stage and started again: as if nothing had happened, and
nothing is done twice.
"""

import os
import random
import signal
import time

import numpy as np
import pytest
from PIL import Image

NUM_IMAGES = 6
OPTIONS = ("--backbone", "mini", "--size", "64", "--preset", "fast", "--crf", "--classes", "3")
SEED = int(os.environ.get("PRIMAPS_KILL_SEED", "0"))
"""Another seed gives other moments."""


def first_proposal(out):
    return any((out / "proposals").rglob("*.png"))


def unfinished_fit(out):
    return (out / "model" / "checkpoint.safetensors").exists()


def half_a_fit(out):
    return (out / "model" / "snapshots" / "step-0000040.safetensors").exists()


def first_label_map(out):
    return any((out / "labels").rglob("*.png"))


def last_label_map(out):
    return len(list((out / "labels").rglob("*.png"))) == NUM_IMAGES


# How to tell from outside that a stage has begun, and for how many seconds it lasts at the very
# least.
STAGES = {
    "proposals": (first_proposal, 0.2),
    "fit": (unfinished_fit, 0.05),
    "half a fit": (half_a_fit, 0.03),
    "label maps": (first_label_map, 0.05),
    "report": (last_label_map, 0.05),
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed") / "photos"
    (folder / "sub").mkdir(parents=True)
    for index in range(NUM_IMAGES):
        blocks = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        name = f"sub/{index}.png" if index % 2 else f"{index}.jpg"
        Image.fromarray(blocks).resize((160, 120)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def undisturbed(photos, primaps):
    out = photos.parent / "undisturbed"
    result = primaps("segment", photos, "--out", out, *OPTIONS)
    assert result.returncode == 0, result.stderr
    return contents(out)


def contents(out):
    """Every byte that a resumed run has to reproduce."""
    kept = [
        *(out / "proposals").rglob("*.png"),
        *(out / "labels").rglob("*.png"),
        out / "model" / "prototypes.safetensors",
    ]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in kept}


def finished_files(out):
    """PNG files of images that are done, with the time of writing: their stage need not, and must
    not, touch them again.
    """
    stored = {
        path.relative_to(out / "store").with_suffix("")
        for path in (out / "store").rglob("*.safetensors")
    }
    proposals = {out / "proposals" / f"{name}.png" for name in stored}  # the store is written last
    return {
        path: path.stat().st_mtime_ns for path in [*proposals, *(out / "labels").rglob("*.png")]
    }


def kill_within(stage, process, out, generator):
    """Kill a process at a random moment after a stage began; returns a description of the
    moment.
    """
    begun, longest = STAGES[stage]
    end = time.monotonic() + 180
    while not begun(out):
        assert process.poll() is None, f"ended before {stage}: {process.stderr.read()}"
        assert time.monotonic() < end, f"{stage} did not begin"
        time.sleep(0.002)
    delay = generator.uniform(0.0, longest)
    time.sleep(delay)
    process.kill()
    process.wait()
    moment = f"seed {SEED}, killed {delay:.4f} s into {stage}"
    assert process.returncode == -signal.SIGKILL, f"{moment}: it had ended by itself"
    return moment


@pytest.mark.slow
def test_killed_in_every_stage_and_started_again(
    photos, undisturbed, start_primaps, primaps, tmp_path
):
    out = tmp_path / "run"
    arguments = ("segment", photos, "--out", out, *OPTIONS)
    generator = random.Random(SEED)
    finished, moments = {}, []
    for stage in STAGES:
        moments.append(kill_within(stage, start_primaps(*arguments), out, generator))
        now = finished_files(out)
        assert now, moments
        assert {path: now.get(path) for path in finished} == finished, moments
        assert [
            path
            for path in now
            if path.read_bytes() != undisturbed[path.relative_to(out).as_posix()]
        ] == [], moments
        finished |= now

    result = primaps(*arguments)

    assert result.returncode == 0, (moments, result.stderr)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished, moments
    after = contents(out)
    assert after.keys() == undisturbed.keys(), moments
    assert [name for name in after if after[name] != undisturbed[name]] == [], moments
    assert (out / "report.html").exists(), moments
    assert not list(out.rglob("*.primaps-tmp")), moments
    assert not (out / "model" / "checkpoint.safetensors").exists(), moments


@pytest.mark.slow
def test_killed_twice_in_one_stage(photos, undisturbed, start_primaps, primaps, tmp_path):
    arguments = ("segment", photos, "--out", tmp_path / "run", *OPTIONS)
    generator = random.Random(SEED + 1)
    moments = []
    for stage in ("fit", "half a fit"):
        moments.append(kill_within(stage, start_primaps(*arguments), tmp_path / "run", generator))
        assert not (tmp_path / "run" / "model" / "model.json").exists(), "the fit was over"
    result = primaps(*arguments)
    assert result.returncode == 0, (moments, result.stderr)
    assert contents(tmp_path / "run") == undisturbed, moments
