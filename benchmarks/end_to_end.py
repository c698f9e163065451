"""How many photographs per second does the whole job do, and how much memory does it take?

    python benchmarks/end_to_end.py

``primaps segment`` with its defaults on photographs, on all cores. Starting up, compiling if need
be, and the fit are in the time; the fit has a lower bound of steps, so that photographs per second
rise with the size of the folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from inputs import folder_of_photographs
from jobs import primaps
from rows import Row, add_rows_option, publish


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=50, help="at most this many")
    parser.add_argument("--presets", nargs="+", default=["default", "fast"])
    add_rows_option(parser)
    options = parser.parse_args()
    paths, origin = folder_of_photographs(options.images)
    rows: list[Row] = []
    for preset in options.presets:
        rows += measure(paths, origin, preset)
    publish(rows, options.rows)


def measure(paths: list[Path], origin: str, preset: str) -> list[Row]:
    """Photographs per second with and without the fit, and peak memory."""
    what = f"`segment --preset {preset}`, {len(paths)} {origin}"
    with tempfile.TemporaryDirectory(prefix="primaps-end-to-end-") as folder:
        out = Path(folder) / "run"
        usage = primaps(
            "segment", *map(str, paths), "--out", str(out), "--preset", preset, "--device", "cpu"
        )
        seconds = json.loads((out / "run.json").read_text(encoding="utf-8"))["seconds"]
    stages = ", ".join(f"{name} {spent:.0f} s" for name, spent in seconds.items())
    per_image = seconds["proposals"] + seconds["label maps"]
    return [
        Row(
            f"{what}: photographs per second",
            f"{len(paths) / usage.seconds:.2f} ({usage.seconds:.0f} s: {stages})",
        ),
        Row(
            f"{what}: without start and fit", f"{len(paths) / per_image:.2f} photographs per second"
        ),
        Row(f"{what}: peak memory", f"{usage.peak_mib:.0f} MiB"),
    ]


if __name__ == "__main__":
    main()
