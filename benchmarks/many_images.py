"""Does memory stay flat and time linear over many images? `python benchmarks/many_images.py`.

Draws so many photographs of 64 x 48, runs `primaps proposals` over them (backbone `texture`, preset
`fast`), and samples its memory and how many it has done; then all is deleted.

    python benchmarks/many_images.py --images 50000      # the figures in docs/reliability.md
    python benchmarks/many_images.py --images 2000       # does it run at all?

Memory is compared between a tenth of the images and the end of the stage, and with the peak of the
whole command, which lists what it made at its end. Time is compared between the first and the
second half, leaving the first hundredth out, in which everything starts: the processor's time, as
time by the clock depends on what else the machine does. A processor shared with others does not run
at one speed for minutes either, so a fixed piece of work, always the same proposals, is timed a
hundred times in between, and what is compared is the images' time in units of it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from jobs import draw_photographs

FLAT, LINEAR = 0.05, 0.10
"""Fractions by which memory may grow, and by which time may."""


@dataclass(frozen=True)
class Sample:
    """A moment of the stage.

    Attributes:
        images: Done so far.
        seconds: Since the stage began.
        cpu_seconds: Of the processor since then, of all threads, without those of the yardstick.
        yardstick: Seconds of the processor that the fixed piece of work took, just now.
        mib: Resident memory.
    """

    images: int
    seconds: float
    cpu_seconds: float
    yardstick: float
    mib: float


class Yardstick:
    """A piece of work that is the same whenever it is done: proposals of fixed features."""

    def __init__(self) -> None:
        import numpy as np
        import torch

        drawn = np.random.default_rng(0).standard_normal((1, 32, 24, 32), dtype=np.float32)
        self._features = torch.from_numpy(drawn)

    def seconds(self) -> float:
        """Seconds of the processor that it takes now, in this thread."""
        from primaps.proposals.principal import principal_masks

        began = time.thread_time()
        for _ in range(15):
            principal_masks(self._features, max_masks=20)
        return time.thread_time() - began


class Sampling:
    """Is told the progress of a run, and notes time and memory of every hundredth part of it."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.images = self._total = 0
        self._started = self._cpu_started = self._measuring = 0.0
        self._yardstick = Yardstick()

    def plan(self, stages: object, kind: str = "", images: int = 0) -> None:
        """Ignore it."""

    def start(self, stage: str, total: int, done: int = 0) -> None:  # noqa: ARG002 - one stage
        """The stage begins."""
        self._total, self._started = total, time.perf_counter()
        self._cpu_started = time.process_time()

    def advance(self, steps: int = 1) -> None:
        """So many images are done."""
        self.images += steps
        if self.images % max(1, self._total // 100) == 0:
            passed = time.perf_counter() - self._started
            used = time.process_time() - self._cpu_started - self._measuring
            took = self._yardstick.seconds()
            self._measuring += took
            self.samples.append(Sample(self.images, passed, used, took, resident_mib()))

    def finish(self) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""

    def at(self, share: float) -> Sample:
        """The moment when a share of the images was done."""
        place = bisect_left([each.images for each in self.samples], share * self._total)
        return self.samples[min(place, len(self.samples) - 1)]


def resident_mib(field: str = "VmRSS") -> float:
    """Resident memory of this process in MiB, or its peak (VmHWM)."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("Expected a system that tells the memory of a process in /proc.")


def run_proposals(photos: Path, out: Path, size: int) -> Sampling:
    """`primaps proposals` in this process."""
    from primaps.pipeline.beginning import Choice, begin
    from primaps.pipeline.commands import proposals

    sampling = Sampling()
    given = {"features.size": size}
    choice = Choice(given=given, preset="fast", backbone="texture", num_clusters=3)
    run = begin([photos], out, choice, progress=sampling)
    proposals(run, inputs=[str(photos)])
    if run.failures:
        raise SystemExit(f"Expected no failure, but got {run.failures[0]}.")
    return sampling


def main() -> None:
    """Draw, run, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=32, help="short side of the backbone's input")
    parser.add_argument("--work", type=Path, help="where images and outputs lie for the time being")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work = Path(tempfile.mkdtemp(prefix="primaps-many-", dir=given.work))
    try:
        draw_photographs(work / "photos", given.images, 48, 64)
        sampling = run_proposals(work / "photos", work / "out", given.size)
    finally:
        shutil.rmtree(work)
    sys.exit(not tell(sampling))


def tell(sampling: Sampling) -> bool:
    """Print the figures; whether memory was flat and time linear."""
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        found = sampling.at(share)
        print(f"{found.images:>7} images  {found.seconds:8.1f} s  {found.mib:7.1f} MiB")
    tenth, end = sampling.at(0.1), sampling.at(1.0)
    grown = end.mib / tenth.mib - 1
    peak = resident_mib("VmHWM")
    print(f"memory from a tenth to the end: {grown:+.1%} (bar {FLAT:.0%})")
    print(f"peak of the whole command: {peak:.1f} MiB, {peak / tenth.mib - 1:+.1%}")
    halves = [half_of(sampling, *part) for part in ((0.01, 0.5), (0.5, 1.0))]
    print("per 1000 images in the first and the second half:")
    for what, early, late in zip(
        ("seconds by the clock", "of the processor", "the yardstick", "in yardsticks"),
        *halves,
        strict=True,
    ):
        print(f"  {what:<22} {early:8.3f} {late:8.3f}  {late / early - 1:+.1%}")
    slower = halves[1][-1] / halves[0][-1] - 1
    print(f"slower in the second half, in yardsticks: {slower:+.1%} (bar {LINEAR:.0%})")
    return grown <= FLAT and slower <= LINEAR


def half_of(sampling: Sampling, begin: float, end: float) -> tuple[float, float, float, float]:
    """Of a part of the stage, per 1000 images: seconds, of the processor, yardstick, yardsticks.

    The yardstick itself is its mean over the part, not per image.
    """
    first, last = sampling.at(begin), sampling.at(end)
    inside = [each for each in sampling.samples if first.images < each.images <= last.images]
    yardstick = sum(each.yardstick for each in inside) / len(inside)
    thousands = (last.images - first.images) / 1000
    used = (last.cpu_seconds - first.cpu_seconds) / thousands
    return (last.seconds - first.seconds) / thousands, used, yardstick, used / yardstick


if __name__ == "__main__":
    main()
