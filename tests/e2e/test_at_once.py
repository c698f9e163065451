"""Several commands in one folder at the same time: readers see whole files, writers wait or are
refused.
"""

import json
import signal
import time

import numpy as np
import pytest
from PIL import Image

from primaps.errors import ImageError
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.verifying.images import read_stored

NUM_IMAGES = 16
OPTIONS = ("--backbone", "texture", "--size", "64", "--preset", "fast", "--classes", "3")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("at-once") / "photos"
    folder.mkdir()
    for index in range(NUM_IMAGES):
        blocks = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((160, 120)).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def finished(photos, primaps):
    out = photos.parent / "undisturbed"
    result = primaps("segment", photos, "--out", out, *OPTIONS)
    assert result.returncode == 0, result.stderr
    return out


def contents(root):
    kept = [path for kind in ("png", "safetensors") for path in root.rglob(f"*.{kind}")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def wait_for(path, process):
    end = time.monotonic() + 180
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.002)


def unreadable(out):
    """Files that are there and not whole."""
    found = []
    for path in out.rglob("*.png"):
        try:
            read_label_image(path)
        except ImageError as error:
            found.append(str(error))
    found += [
        f"{path}: {stored}"
        for path in out.rglob("store/*.safetensors")
        if isinstance(stored := read_stored(path, 6), str)
    ]
    for path in (out / "run.json", out / "store" / "manifest.json", out / "model" / "model.json"):
        if path.exists():
            json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.slow
def test_whatever_is_read_while_a_run_writes_is_whole(photos, finished, start_primaps, tmp_path):
    out = tmp_path / "run"
    process = start_primaps("segment", photos, "--out", out, *OPTIONS)
    rounds = 0
    while process.poll() is None:
        assert unreadable(out) == []
        rounds += 1
    assert process.returncode == 0, process.stderr.read()
    assert rounds > 1
    assert contents(out) == contents(finished)


@pytest.mark.slow
def test_other_commands_while_a_run_is_at_work(photos, finished, start_primaps, primaps, tmp_path):
    out = tmp_path / "run"
    process = start_primaps("segment", photos, "--out", out, *OPTIONS)
    wait_for(out / "model" / "model.json", process)
    process.send_signal(signal.SIGSTOP)  # still at work, however slow the others are
    second = primaps("segment", photos, "--out", out, *OPTIONS)
    assert second.returncode == 1
    assert "only command at work" in second.stderr
    doctor = primaps("doctor", out)
    assert doctor.returncode == 0, doctor.stdout
    assert "Another command is at work here" in doctor.stdout
    assert primaps("doctor", out, "--fix").returncode == 1
    assert primaps("classes", out).returncode == 0
    export = primaps("export", out, "--format", "voc", "--out", tmp_path / "voc")
    assert export.returncode in {0, 2, 3}  # as many label maps as there are
    model = ("--classes", "2", "--model")
    beside = [start_primaps("fit", out, *model, tmp_path / name) for name in ("a", "b")]
    for fit in beside:
        _, said = fit.communicate(timeout=180)
        assert fit.returncode == 0, said
        assert "Traceback" not in said
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert contents(out) == contents(finished)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.slow
def test_two_fits_into_one_folder(finished, start_primaps, tmp_path):
    arguments = ("fit", finished, "--classes", "2", "--model", tmp_path / "model")
    ended = [start_primaps(*arguments) for _ in range(2)]
    said = [process.communicate(timeout=180)[1] for process in ended]
    codes = sorted(process.returncode for process in ended)
    # the second was refused, or came when the first was done and found everything current
    assert codes in ([0, 1], [0, 0]), said
    assert codes == [0, 0] or any("only command at work" in each for each in said)
