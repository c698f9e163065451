"""Photographs of 108 megapixels in bounded memory, through the whole program."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

pytestmark = pytest.mark.skipif(
    not hasattr(os, "wait4"), reason="the memory of a process is measured on Unix only"
)

HEIGHT, WIDTH = 9000, 12000
LIMIT = 2_000_000_000
"""Bytes of memory that the process may have at most."""


def save_large(path, alpha):
    """A file of 9000 x 12000 pixels out of tiles: shades with noise."""
    generator = np.random.default_rng(0)
    tile = np.linspace(0, 190, 400)[None, :, None] + generator.integers(0, 60, (300, 400, 3))
    if alpha:
        tile = np.concatenate([tile, np.full((300, 400, 1), 200.0)], axis=2)
    pixels = np.tile(tile.astype(np.uint8), (HEIGHT // 300, WIDTH // 400, 1))
    Image.fromarray(pixels).save(path, **({"compress_level": 1} if alpha else {"quality": 85}))


MEASURE = """
import os, subprocess, sys
job = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(job.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
"""Runs a command and prints its exit code and largest resident memory.

A process of its own does this because Linux counts to a command what the process that started it
had in memory at that moment, here the tests' process with all it has read.
"""


def peak_memory(*arguments):
    """Exit code, standard error and the largest resident memory in bytes of a command."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, sys.executable, "-m", "primaps", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    code, peak = map(int, done.stdout.split())
    return code, done.stderr, peak * (1 if sys.platform == "darwin" else 1024)


def test_the_memory_of_the_tests_is_not_counted():
    ballast = np.ones(300_000_000, dtype=np.uint8)
    _, _, peak = peak_memory("--version")
    assert peak < ballast.nbytes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("large.jpg", ()), ("large.png", ("--preset", "fast", "--crf"))]
)
def test_108_megapixels_in_less_than_2_gb(name, options, tmp_path):
    photo, out = tmp_path / name, tmp_path / "run"
    save_large(photo, alpha=name.endswith(".png"))
    try:
        code, errors, peak = peak_memory("segment", photo, "--out", out, "--classes", 3, *options)
    finally:
        photo.unlink()
    assert code == 0, errors
    for folder in ("labels", "proposals"):
        with PngImageFile(out / folder / f"{name}.png") as picture:
            assert picture.size == (WIDTH, HEIGHT)
    assert peak < LIMIT, f"{peak / 1e9:.2f} GB"
