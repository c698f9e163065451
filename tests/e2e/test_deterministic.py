"""One seed, one machine: the same bytes, whatever the number of threads."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deterministic") / "photos"
    folder.mkdir()
    for index in range(6):
        blocks = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((160, 120)).save(folder / f"{index}.png")
    return folder


def segmented(photos, out, threads, *options):
    """Every byte of a run but its record, counters and report, which tell times."""
    arguments = ("segment", photos, "--out", out, "--size", "64", "--classes", "3", *options)
    result = subprocess.run(
        [sys.executable, "-m", "primaps", *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    told = {"run.json", "metrics.prom", "report.html"}
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in out.rglob("*")
        if path.is_file() and path.name not in told
    }


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["texture", "mini"])
def test_two_runs_and_any_number_of_threads_give_the_same_bytes(backbone, photos, tmp_path):
    options = ("--backbone", backbone, "--preset", "fast", "--crf", "--certainty", "--overlays")
    first = segmented(photos, tmp_path / "first", 1, *options)
    second = segmented(photos, tmp_path / "second", 2, *options)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert any(name.startswith("overlays/") for name in first)
    another = segmented(photos, tmp_path / "another", 1, *options, "--seed", "1")
    assert first["model/prototypes.safetensors"] != another["model/prototypes.safetensors"]
    stored = [name for name in first if name.startswith("store/") and name.endswith("ensors")]
    assert all(first[name] == another[name] for name in stored), "a seed is the fit's alone"
