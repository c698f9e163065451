"""The command line as a job of its own: seconds, processor seconds and peak memory; and drawn
photographs to give it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Usage:
    """What one process took.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of the processor, in the program and in the system.
        peak_mib: Largest resident memory in MiB.
        output: What it printed.
    """

    seconds: float
    cpu_seconds: float
    peak_mib: float
    output: str


def run_job(command: Sequence[str]) -> Usage:
    """Run a command to its end and measure it; the sources of this repository are on its path.

    Linux counts the memory of a process from that of the one that starts it, so the caller should
    be a small process.

    Raises:
        SystemExit: If it fails; its output is shown.
    """
    path = os.pathsep.join(
        filter(None, [str(REPOSITORY / "src"), os.environ.get("PYTHONPATH", "")])
    )
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        started = time.perf_counter()
        # as the command line does
        environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "PYTHONPATH": path}
        job = subprocess.Popen(
            list(command), stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        # of this child alone: the usage of all children keeps the largest peak
        _, status, usage = os.wait4(job.pid, 0)
        seconds = time.perf_counter() - started
        job.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if job.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {job.returncode}:\n{text}")
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return Usage(
        seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * bytes_per_unit / 2**20, text
    )


def primaps(*arguments: str) -> Usage:
    """Run the command line of this repository."""
    return run_job([sys.executable, "-m", "primaps", *arguments])


def draw_photographs(folder: Path, count: int, height: int = 64, width: int = 96) -> None:
    """Files with a horizon, a few discs and grain, no two alike; photograph ``index`` is the same
    in every folder.
    """
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(drawn(index, height, width)).save(folder / f"{index:06}.jpg", quality=90)


def drawn(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """One (height, width, 3) picture."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    colours = random.uniform(0, 255, (5, 3))
    picture = np.where((rows < random.uniform(0.2, 0.5))[..., None], colours[0], colours[1])
    for colour in colours[2:]:
        y, x, radius = (
            random.uniform(0, rows.max()),
            random.uniform(0, 1),
            random.uniform(0.08, 0.25),
        )
        picture[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = colour
    grainy: NDArray[np.uint8] = (
        (picture + random.normal(0, 8, picture.shape)).clip(0, 255).astype(np.uint8)
    )
    return grainy
