"""Photographs of 108 megapixels in bounded memory, through the whole program."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

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


def peak_memory(*arguments):
    """Exit code, standard error and the largest resident memory in bytes of a command."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "primaps", *map(str, arguments)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, errors, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "wait4"), reason="the memory of a process is measured on Unix only"
)
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
