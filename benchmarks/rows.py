"""Rows of the benchmark table: what was measured, how much it is, and the bar it is held
against.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: What was measured, and on what.
        measured: The figure, with its unit.
        bar: What it should be; empty = no bar was set.
        holds: Whether the bar is held; None = there is none.
    """

    what: str
    measured: str
    bar: str = ""
    holds: bool | None = None


def at_least(what: str, value: float, bar: float, more: str = "") -> Row:
    """A ratio that should be large."""
    return Row(what, f"{value:.2f} x{more}", f"at least {bar:g} x", value >= bar)


def at_most(what: str, value: float, bar: float, more: str = "") -> Row:
    """A ratio that should be small."""
    return Row(what, f"{value:.2f} x{more}", f"at most {bar:g} x", value <= bar)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | bar | held |", "|---|---|---|---|"]
    held = {None: "", True: "yes", False: "**no**"}
    return "\n".join(
        [
            *lines,
            *(f"| {row.what} | {row.measured} | {row.bar} | {held[row.holds]} |" for row in rows),
        ]
    )


def add_rows_option(parser: argparse.ArgumentParser) -> None:
    """The option that every benchmark has, for `all.py`."""
    parser.add_argument(
        "--rows", type=Path, metavar="FILE", help="write the rows of the table there too, as JSON"
    )


def publish(rows: Sequence[Row], file: Path | None) -> None:
    """Print the table, and write the rows where ``--rows`` says."""
    print(table(rows))
    if file is not None:
        file.write_text(
            json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8"
        )


def read_rows(file: Path) -> list[Row]:
    """What `publish` wrote."""
    return [Row(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]


def machine() -> str:
    """Processor, cores this process may use, memory and load, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        if hasattr(os, "sysconf")
        else float("nan")
    )
    return (
        f"{_processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()}, Python"
        f" {platform.python_version()}{load}"
    )


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
