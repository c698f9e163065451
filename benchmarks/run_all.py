"""All benchmarks with one command, as one table: what was measured, how much it is, and the bar.

    make bench                                         # or: python benchmarks/run_all.py
    python benchmarks/run_all.py --only crf,em         # some of them
    python benchmarks/run_all.py --quick               # a few images each: does it run at all?

Every benchmark is a process of its own and can be run by itself. The table is printed and appended
to ``benchmarks/RESULTS.md`` with the date and a description of the machine. Where a benchmark
fails, the others still run and the command ends with 1.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from jobs import Usage, run_job
from rows import Row, machine, read_rows, table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "crf": ("--turns", "3"),
        "extraction": ("--preset", "default", "fast", "--rounds", "3"),
        "image_size": (),
        "em": (),
        "forward": (),
        "cores": (),
        "end_to_end": (),
        "scaling": (),
        "gpu": (),
        "viewer": (),
    }
)
"""The benchmarks and how they are called."""

QUICK: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "crf": ("--turns", "1", "--labels", "4"),
        "extraction": ("--preset", "default", "fast", "--rounds", "1", "--images", "1"),
        "image_size": ("--sides", "160", "320", "--turns", "1"),
        "em": (),
        "forward": ("--rounds", "1"),
        "cores": ("--images", "4", "--turns", "1"),
        "end_to_end": ("--images", "4", "--presets", "fast"),
        "scaling": ("--counts", "20", "40"),
        "gpu": (),
        "viewer": ("--images", "30"),
    }
)


def main() -> int:
    """Run the benchmarks and write the table."""
    options = parse()
    present = [name for name in options.only if (HERE / f"{name}.py").exists()]
    started = time.perf_counter()
    rows: list[Row] = []
    failed = False
    for name in present:
        try:
            rows += run_part(name, (QUICK if options.quick else PARTS)[name])
        except SystemExit as error:
            failed = True
            print(error)
            rows.append(Row(f"`{name}`", "failed; run it by itself to see why", "", holds=False))
    minutes = (time.perf_counter() - started) / 60
    section = entry(rows, present, minutes, machine(), dt.datetime.now(dt.UTC))
    print(section)
    if options.out is not None:
        append(options.out, section)
    return 1 if failed else 0


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The settings of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=list(PARTS),
        metavar="NAME,NAME",
        help=f"some of {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few images each; the figures mean little"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="file that the table is appended to"
    )
    parser.add_argument(
        "--no-file", dest="out", action="store_const", const=None, help="print the table only"
    )
    return parser.parse_args(given)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"expected some of {', '.join(PARTS)}, but got {', '.join(unknown)}"
        )
    return names


def run_part(name: str, arguments: Sequence[str]) -> list[Row]:
    """The lines of one benchmark, and what its process took.

    Raises:
        SystemExit: If it fails.
    """
    print(f"== {name} {' '.join(arguments)}", flush=True)
    command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        usage = run_job([*command, "--rows", str(file)])
        rows = read_rows(file)
    print(usage.output, flush=True)
    return [*rows, _own_cost(name, usage)]


def _own_cost(name: str, usage: Usage) -> Row:
    return Row(
        f"`{name}`: this benchmark itself",
        f"{usage.seconds:.0f} s, peak memory {usage.peak_mib:.0f} MiB",
    )


def entry(
    rows: Sequence[Row], names: Sequence[str], minutes: float, where: str, now: dt.datetime
) -> str:
    """One dated section of the results."""
    missed = [row for row in rows if row.holds is False]
    verdict = f"{len(missed)} bars missed." if missed else "All bars of these parts held."
    return (
        f"## {now:%Y-%m-%d %H:%M} UTC\n\n`python benchmarks/run_all.py --only {','.join(names)}` in"
        f" {minutes:.1f} minutes on {where} (at the end). {verdict}\n\n{table(rows)}\n"
    )


def append(file: Path, section: str) -> None:
    """Add a section to the end of a file, which is made if need be."""
    start = (
        file.read_text(encoding="utf-8").rstrip("\n") + "\n\n"
        if file.exists()
        else "# Benchmark results\n\n"
    )
    file.write_text(start + section, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
