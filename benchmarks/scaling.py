"""Does a folder of ten times as many photographs take ten times as long, and no more memory?

    python benchmarks/scaling.py                  # 100 and 1 000 photographs
    python benchmarks/scaling.py --full           # and 10 000: some minutes, and 2 GB of disk

The main job runs in a process of its own on each folder of small drawn photographs (64 x 96 pixels,
`texture` backbone, 8 classes). Processor seconds are compared, because the clock depends on what
else the machine does; both are printed. Starting up and the fit, whose steps are limited, would
hide a growth, so the stages that see every image are compared by themselves as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from jobs import Usage, draw_photographs, run_job
from rows import Row, add_rows_option, at_most, publish

SHORT, FULL = (100, 1_000), (100, 1_000, 10_000)
TIME_BAR, MEMORY_BAR = 10.5, 1.1


@dataclass(frozen=True)
class Measured:
    """One folder.

    Attributes:
        usage: Of the whole process.
        stages: Processor seconds of every stage.
    """

    usage: Usage
    stages: Mapping[str, float]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="10 000 photographs too")
    parser.add_argument(
        "--counts", type=int, nargs="+", help="other numbers of photographs, ascending"
    )
    parser.add_argument("--size", type=int, default=64, help="short side of the backbone's input")
    parser.add_argument("--preset", default="default")
    add_rows_option(parser)
    parser.add_argument(
        "--job", type=Path, nargs=2, metavar=("PHOTOGRAPHS", "OUT"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.job:
        photographs, out = options.job
        job(photographs, out, options.size, options.preset)
        return
    counts = options.counts or (FULL if options.full else SHORT)
    with tempfile.TemporaryDirectory(prefix="primaps-scaling-") as folder:
        measured = {
            count: measure(Path(folder), count, options.size, options.preset) for count in counts
        }
    publish(rows(measured), options.rows)


def measure(folder: Path, count: int, size: int, preset: str) -> Measured:
    """Segment a folder of so many drawn photographs."""
    photographs, out = folder / f"{count}-photographs", folder / f"{count}-run"
    draw_photographs(photographs, count)
    usage = run_job(
        [
            sys.executable,
            __file__,
            "--size",
            str(size),
            "--preset",
            preset,
            "--job",
            str(photographs),
            str(out),
        ]
    )
    stages: dict[str, float] = json.loads(usage.output.splitlines()[-1])
    print(
        f"{count} photographs: {usage.cpu_seconds:.1f} CPU s, {usage.seconds:.1f} s,"
        f" {usage.peak_mib:.0f} MiB; by stage:",
        end=" ",
    )
    print(", ".join(f"{name} {seconds:.1f} CPU s" for name, seconds in stages.items()), flush=True)
    return Measured(usage, stages)


def job(photographs: Path, out: Path, size: int, preset: str) -> None:
    """What `measure` runs as a process of its own: the main job, and the processor seconds of its
    stages as JSON.
    """
    from primaps import pipeline
    from primaps.config import preset_config
    from primaps.heads.loading import load_backbone

    base = preset_config(preset)
    config = dataclasses.replace(
        base, num_clusters=8, features=dataclasses.replace(base.features, size=size)
    )
    stages = StageTimes()
    run = pipeline.open_run(
        [photographs], out, load_backbone("texture", device="cpu"), config, progress=stages
    )
    pipeline.segment(run, inputs=[str(photographs)])
    if run.failures:
        raise SystemExit(
            f"Expected every photograph to be usable, but {len(run.failures)} were not:"
            f" {run.failures[0]}"
        )
    print(json.dumps(stages.seconds))


class StageTimes:
    """Receives the progress of a run and adds up the processor seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._since = 0.0

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """Nothing to do."""

    def start(self, stage: str, total: int, done: int = 0) -> None:  # noqa: ARG002  part of the interface
        """A stage begins, and the one before it ends; the phases of the fit count as one."""
        self.finish()
        self._stage, self._since = stage.partition(":")[0], time.process_time()

    def advance(self, steps: int = 1) -> None:
        """Nothing to do."""

    def finish(self) -> None:
        """The present stage, if any, is over."""
        if self._stage is not None:
            self.seconds[self._stage] = (
                self.seconds.get(self._stage, 0.0) + time.process_time() - self._since
            )
        self._stage = None

    def note(self, message: str) -> None:
        """Nothing to do."""


def rows(measured: Mapping[int, Measured]) -> list[Row]:
    """The table: every folder, and every folder against the next smaller one."""
    counts = list(measured)
    found = [
        Row(
            f"main job, {count} photographs",
            f"{one.usage.cpu_seconds:.0f} CPU s, {one.usage.seconds:.0f} s,"
            f" {one.usage.peak_mib:.0f} MiB",
        )
        for count, one in measured.items()
    ]
    for few, many in pairwise(counts):
        what = f"{many} against {few} photographs"
        small, large = measured[few].usage, measured[many].usage
        bar = TIME_BAR * many / few / 10
        found.append(at_most(f"time, {what}", large.cpu_seconds / small.cpu_seconds, bar))
        found.append(at_most(f"peak memory, {what}", large.peak_mib / small.peak_mib, MEMORY_BAR))
        found.append(
            at_most(
                f"time in the stages that see every image, {what}",
                _staged(measured[many]) / _staged(measured[few]),
                bar,
            )
        )
    return found


def _staged(measured: Measured) -> float:
    """Processor seconds of the stages whose time is proportional to the number of images."""
    return measured.stages["proposals"] + measured.stages["label maps"]


if __name__ == "__main__":
    main()
