"""Training of a head, killed at a random moment and started again: as if nothing had happened.

HP resumes by the same loop; `tests/pipeline/heads/test_head_fitting.py` interrupts both kinds.
"""

import os
import random
import signal
import time

import numpy as np
import pytest
from PIL import Image

SEED = int(os.environ.get("PRIMAPS_KILL_SEED", "0"))
"""Another seed gives other moments."""
OPTIONS = ("--backbone", "texture", "--classes", "3", "--steps", "32", "--device", "cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed_head") / "photos"
    folder.mkdir()
    for index in range(3):
        blocks = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((160, 120)).save(folder / f"{index}.png")
    return folder


def contents(out):
    return {
        name: (out / name).read_bytes() for name in ("head.safetensors", "head.json", "losses.json")
    }


def kill_after(process, wanted, longest, generator):
    """Kill a process at a random moment after a file appeared."""
    end = time.monotonic() + 180
    while not wanted():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.002)
    delay = generator.uniform(0.0, longest)
    time.sleep(delay)
    process.kill()
    process.wait()
    assert process.returncode == -signal.SIGKILL, (
        f"seed {SEED}: it had ended by itself after {delay:.3f} s"
    )


@pytest.mark.slow
def test_killed_while_cutting_and_while_training(photos, primaps, start_primaps, tmp_path):
    def command(name):
        return ("head", "stego", "fit", "--images", photos, "--out", tmp_path / name, *OPTIONS)

    result = primaps(*command("undisturbed"))
    assert result.returncode == 0, result.stderr
    generator, out = random.Random(SEED), tmp_path / "killed"
    kill_after(
        start_primaps(*command("killed")),
        lambda: any((out / "crops").glob("*.safetensors")),
        0.2,
        generator,
    )
    kill_after(
        start_primaps(*command("killed")), (out / "checkpoint.safetensors").exists, 0.5, generator
    )
    assert not (out / "head.json").exists()
    result = primaps(*command("killed"))
    assert result.returncode == 0, result.stderr
    assert contents(out) == contents(tmp_path / "undisturbed")
    assert not (out / "checkpoint.safetensors").exists()
    assert not list(out.rglob("*.primaps-tmp"))
