"""Does a folder of ten times as many photographs take ten times as long, and no more memory?

    python benchmarks/scaling.py                  # 100 and 1 000 photographs
    python benchmarks/scaling.py --full           # and 10 000: some minutes, and 2 GB of disk

``primaps segment`` runs as a process of its own on folders of small drawn photographs (64 x 96 pixels, `texture` backbone, 8
classes). Processor seconds are compared, because the clock depends on what else the machine does; both are printed. Starting up
and the fit, whose steps are limited, would hide a growth, so the stages that see every image are compared as well, by the clock.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from jobs import Usage, draw_photographs, primaps
from rows import Row, add_rows_option, at_most, publish

SHORT, FULL = (100, 1_000), (100, 1_000, 10_000)
TIME_BAR, MEMORY_BAR = 10.5, 1.1


@dataclass(frozen=True)
class Measured:
    """One folder.

    Attributes:
        usage: Of the whole process.
        stages: Seconds by the clock of every stage.
    """

    usage: Usage
    stages: Mapping[str, float]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="10 000 photographs too")
    parser.add_argument("--counts", type=int, nargs="+", help="other numbers of photographs, ascending")
    parser.add_argument("--size", type=int, default=64, help="short side of the backbone's input")
    parser.add_argument("--preset", default="default")
    add_rows_option(parser)
    options = parser.parse_args()
    counts = options.counts or (FULL if options.full else SHORT)
    with tempfile.TemporaryDirectory(prefix="primaps-scaling-") as folder:
        measured = {count: measure(Path(folder), count, options.size, options.preset) for count in counts}
    publish(rows(measured), options.rows)


def measure(folder: Path, count: int, size: int, preset: str) -> Measured:
    """Segment a folder of so many drawn photographs."""
    photographs, out = folder / f"{count}-photographs", folder / f"{count}-run"
    draw_photographs(photographs, count)
    arguments = ("--backbone", "texture", "--size", str(size), "--classes", "8", "--preset", preset, "--device", "cpu")
    usage = primaps("segment", str(photographs), "--out", str(out), *arguments)
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    measured = Measured(usage, record["seconds"])
    print(
        f"{count} photographs: {usage.cpu_seconds:.1f} CPU s, {usage.seconds:.1f} s, {usage.peak_mib:.0f} MiB; by stage:", end=" "
    )
    print(", ".join(f"{name} {seconds:.1f}" for name, seconds in measured.stages.items()), flush=True)
    return measured


def rows(measured: Mapping[int, Measured]) -> list[Row]:
    """The table: every folder, and every folder against the next smaller one."""
    counts = list(measured)
    found = [
        Row(
            f"`segment`, {count} photographs",
            f"{one.usage.cpu_seconds:.0f} CPU s, {one.usage.seconds:.0f} s, {one.usage.peak_mib:.0f} MiB",
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
            at_most(f"time in the stages that see every image, {what}", _staged(measured[many]) / _staged(measured[few]), bar)
        )
    return found


def _staged(measured: Measured) -> float:
    """Seconds of the stages whose time is proportional to the number of images."""
    return measured.stages["proposals"] + measured.stages["label maps"]


if __name__ == "__main__":
    main()
