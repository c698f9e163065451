"""How much faster two workers are than one: the proposals stage on one folder, one thread each.

    python benchmarks/ray_workers.py
    python benchmarks/ray_workers.py --engine local --images FOLDER

Two figures per number of workers, each the median of several runs: seconds of the whole command,
with the start of Ray and of the workers; and images per second once all workers are at work, from
the moment when as many shards are done as there are workers to the last one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from primaps.engine.commands import Request, proposals
from primaps.engine.options import EngineOptions
from primaps.pipeline.beginning import Choice
from primaps.progress import Silent


class Timeline(Silent):
    """When how many images were done."""

    def __init__(self) -> None:
        self.done: list[tuple[float, int]] = []

    def advance(self, steps: int = 1) -> None:
        """Some images are done."""
        self.done.append((time.perf_counter(), steps))


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        seconds: Of the whole command.
        rate: Images per second with all workers at work.
    """

    seconds: float
    rate: float


def draw_images(folder: Path, count: int) -> None:
    """Write images of 320 x 240 pixels: coloured areas and noise."""
    folder.mkdir()
    for number in range(count):
        draw = np.random.default_rng(number)
        cells = draw.integers(0, 255, (6, 8, 3))
        pixels = np.kron(cells, np.ones((40, 40, 1))) + draw.normal(0, 12, (240, 320, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05d}.png")


def measure(folder: Path, out: Path, given: argparse.Namespace, workers: int) -> Measured:
    """Run the stage once."""
    timeline = Timeline()
    options = EngineOptions(engine=given.engine, workers=workers, shards=given.shards)
    request = Request([str(folder)], str(out), options, "cpu", False, timeline)
    started = time.perf_counter()
    proposals(request, Choice(backbone=given.backbone, device="cpu"))
    seconds = time.perf_counter() - started
    # a shard is done when as many images are as it has
    count, moments = 0, list[tuple[float, int]]()
    for moment, steps in timeline.done:
        count += steps
        moments.append((moment, count))
    begun, before = next(each for each in moments if each[1] >= workers * given.shards)
    ended, after = moments[-1]
    return Measured(seconds, (after - before) / (ended - begun))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--images", type=Path, help="folder (default: drawn images)")
    parser.add_argument("--count", type=int, default=192, help="of drawn images")
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = given.images
        if folder is None:
            folder = root / "images"
            draw_images(folder, given.count)
        found: dict[int, list[Measured]] = {1: [], 2: []}
        for run in range(given.runs):  # in turn: whatever else the machine does hits both
            for workers, measured in found.items():
                out = root / f"{workers}-{run}"
                measured.append(measure(folder, out, given, workers))
                print(f"{workers} workers: {measured[-1]}", flush=True)
        rates = {key: statistics.median(each.rate for each in found[key]) for key in found}
        seconds = {key: statistics.median(each.seconds for each in found[key]) for key in found}
        print(
            f"{given.engine}, {given.backbone}, median of {given.runs}: {rates[1]:.2f} and"
            f" {rates[2]:.2f} images/s, {rates[2] / rates[1]:.2f} times; the whole command"
            f" {seconds[1]:.1f} s and {seconds[2]:.1f} s, {seconds[1] / seconds[2]:.2f} times"
        )


if __name__ == "__main__":
    main()
