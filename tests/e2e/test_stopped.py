"""Stopped by a signal in every long command and started again: what was in work is kept, the end is
the same.
"""

import json
import signal
import time

import numpy as np
import pytest
from PIL import Image

NUM_IMAGES = 24
OPTIONS = ("--backbone", "texture", "--size", "64", "--preset", "fast", "--classes", "3")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A data set of small images with labels, in the layout of ``folder``."""
    root = tmp_path_factory.mktemp("stopped") / "data"
    for index in range(NUM_IMAGES):
        blocks = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        split = "train" if index % 2 else "val"
        images, labels = root / "images" / split, root / "labels" / split
        images.mkdir(parents=True, exist_ok=True)
        labels.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize((160, 120)).save(images / f"{index:02}.png")
        ids = Image.fromarray(blocks[..., 0] // 86)
        ids.resize((160, 120), Image.Resampling.NEAREST).save(labels / f"{index:02}.png")
    (root / "classes.yaml").write_text("dark: 0\nmiddle: 1\nlight: 2\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def finished(data, primaps):
    """A run that was not disturbed."""
    out = data.parent / "undisturbed"
    result = primaps("segment", data / "images", "--out", out, *OPTIONS)
    assert result.returncode == 0, result.stderr
    return out


def contents(root):
    """Every byte that is the same in every run."""
    kept = [
        path
        for kind in ("png", "jpg", "xml", "txt", "safetensors")
        for path in root.rglob(f"*.{kind}")
    ]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def events(log):
    return [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]


def stop(start_primaps, log, stage, *arguments):
    """Start a command and have it stop once a stage has begun; returns what it said."""
    process = start_primaps(*arguments, "--log-json", log)
    end = time.monotonic() + 180
    while not log.exists() or not any(
        each["event"] == "stage_begin" and each["stage"] == stage for each in events(log)
    ):
        assert process.poll() is None, f"ended before {stage}: {process.stderr.read()}"
        assert time.monotonic() < end, f"{stage} did not begin"
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    ended = events(log)[-2:]
    assert [each["event"] for each in ended] == ["stopped", "end"]
    assert ended[1]["exit_code"] == 130
    log.unlink()
    return said


@pytest.mark.slow
def test_stopped_in_every_stage_of_segment(data, finished, start_primaps, primaps, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    arguments = ("segment", data / "images", "--out", out, *OPTIONS)
    counts = []
    for stage in ("proposals", "fit: em", "label maps"):
        said = stop(start_primaps, log, stage, *arguments)
        assert "resumable: run the same command again" in said
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        assert record["status"] == "interrupted"
        counts.append((record["counters"]["stops"], record["counters"]["resumes"]))
        assert 'status="interrupted"} 1.0' in (out / "metrics.prom").read_text(encoding="utf-8")
        assert not list(out.rglob("*.primaps-tmp"))
    assert counts == [(1, 0), (2, 1), (3, 2)]
    result = primaps(*arguments, "--log-json", log)
    assert result.returncode == 0, result.stderr
    assert "resumed" in {each["event"] for each in events(log)}
    assert contents(out) == contents(finished)
    assert primaps("doctor", out).returncode == 0


@pytest.mark.slow
def test_stopped_proposals_and_fit(data, finished, start_primaps, primaps, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    options = ("--backbone", "texture", "--size", "64", "--preset", "fast")
    arguments = ("proposals", data / "images", "--out", out, *options)
    stop(start_primaps, log, "proposals", *arguments)
    assert primaps(*arguments).returncode == 0
    fit = ("fit", out, "--classes", "3", "--model", tmp_path / "model")
    stop(start_primaps, log, "fit: em", *fit)
    assert (tmp_path / "model" / "checkpoint.safetensors").exists()
    assert primaps(*fit).returncode == 0
    assert contents(tmp_path / "model") == contents(finished / "model")
    assert contents(out / "store") == contents(finished / "store")


@pytest.mark.slow
def test_stopped_predict_and_export(data, finished, start_primaps, primaps, tmp_path):
    log, whole = tmp_path / "log", tmp_path / "whole"
    predict = ("predict", data / "images", "--model", finished, "--crf", "--out")
    stop(start_primaps, log, "label maps", *predict, tmp_path / "new")
    assert primaps(*predict, tmp_path / "new").returncode == 0
    assert primaps(*predict, whole).returncode == 0
    assert contents(tmp_path / "new") == contents(whole)
    export = ("export", finished, "--format", "voc", "--out")
    stop(start_primaps, log, "images", *export, tmp_path / "half")
    assert primaps(*export, tmp_path / "half").returncode == 0
    assert primaps(*export, tmp_path / "full").returncode == 0
    assert contents(tmp_path / "half") == contents(tmp_path / "full")


@pytest.mark.slow
def test_stopped_evaluate_and_benchmark(data, finished, start_primaps, primaps, tmp_path):
    log = tmp_path / "log"
    measured = ("--dataset", "folder", "--root", data)
    evaluate = ("evaluate", "--model", finished, *measured, "--split", "val", "--crf")
    said = stop(start_primaps, log, "evaluate", *evaluate)
    assert "Stopped. Run the same command again; it begins anew." in said
    row = ("benchmark", *measured, "--backbone", "texture", "--size", "64", "--out")
    assert "resumable" in stop(start_primaps, log, "proposals", *row, tmp_path / "row")
    assert primaps(*row, tmp_path / "row").returncode == 0
    assert primaps(*row, tmp_path / "other").returncode == 0
    found = [
        json.loads((tmp_path / name / "metrics.json").read_text(encoding="utf-8"))["variants"]
        for name in ("row", "other")
    ]
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_second_signal_ends_at_once(data, start_primaps, tmp_path):
    out, log = tmp_path / "run", tmp_path / "log"
    process = start_primaps("segment", data / "images", "--out", out, *OPTIONS, "--log-json", log)
    end = time.monotonic() + 180
    while not (out / "run.json").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert events(log)[-1]["exit_code"] == 130


@pytest.mark.slow
def test_more_failures_than_accepted(data, primaps, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(4):
        (folder / f"{index}.jpg").write_text("no picture")
        (folder / f"{index}.png").write_bytes((data / "images/val/00.png").read_bytes())
    arguments = ("proposals", folder, "--out", tmp_path / "run", "--backbone", "texture")
    result = primaps(*arguments, "--max-failures", "25%")
    assert result.returncode == 1
    assert "at most 2 inputs" in result.stderr
    assert len((tmp_path / "run" / "failures.jsonl").read_text().splitlines()) == 3
    assert primaps(*arguments, "--max-failures", "4").returncode == 3
    assert primaps(*arguments, "--max-failures", "many").returncode == 2
