"""How much faster is the extraction of mask proposals of a folder on two cores than on one?

    python benchmarks/cores.py

Both in one process by turns, after a warm-up; the smallest time by the clock of each counts,
because a machine that does other things can only add to it. The load before every turn is printed:
with a load of 1 or more one of two cores was taken already.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import torch
from jobs import draw_photographs
from rows import Row, add_rows_option, at_least, publish

from primaps.config import preset_config
from primaps.heads.loading import load_backbone
from primaps.pipeline import PROPOSAL_STAGES, open_run, proposals
from primaps.types import FeatureExtractor

BAR = 1.8


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument(
        "--size", type=int, default=320, help="short side of the photographs in pixels"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--backbone", default="mini")
    add_rows_option(parser)
    options = parser.parse_args()
    publish([measure(options.images, options.size, options.turns, options.backbone)], options.rows)


def measure(images: int, size: int, turns: int, backbone_name: str) -> Row:
    """The ratio, or a row without one where there is only one core."""
    what = (
        f"proposals of {images} drawn photographs of {size} x {size * 3 // 2} with"
        f" `{backbone_name}`, 2 cores against 1"
    )
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Row(what, "not measured: this process may use one core only")
    torch.set_num_threads(2)
    backbone = load_backbone(backbone_name, device="cpu")
    spent: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="primaps-cores-") as name:
        folder = Path(name)
        draw_photographs(folder / "photographs", images, size, size * 3 // 2)
        extraction_seconds(folder, backbone, size, "warm-up")
        for turn in range(turns):
            for cores, seconds in spent.items():
                load, processor = os.getloadavg()[0], time.process_time()
                # the threads that are made from here on inherit it
                os.sched_setaffinity(0, allowed[:cores])
                try:
                    seconds.append(extraction_seconds(folder, backbone, size, f"{turn}-{cores}"))
                finally:
                    os.sched_setaffinity(0, allowed)
                processor = time.process_time() - processor
                print(
                    f"turn {turn}, {cores} cores: {seconds[-1]:.2f} s, {processor:.2f} CPU s, load"
                    f" before {load:.1f}",
                    flush=True,
                )
    one, two = min(spent[1]), min(spent[2])
    return at_least(
        what, one / two, BAR, f": {one:.1f} s and {two:.1f} s, load {os.getloadavg()[0]:.1f}"
    )


def extraction_seconds(folder: Path, backbone: FeatureExtractor, size: int, name: str) -> float:
    """Seconds by the clock of the proposals stage, on as many cores as this process may use now."""
    base = preset_config("default")
    config = dataclasses.replace(base, features=dataclasses.replace(base.features, size=size))
    run = open_run(
        [folder / "photographs"], folder / name, backbone, config, stages=PROPOSAL_STAGES
    )
    proposals(run)
    return run.seconds["proposals"]


if __name__ == "__main__":
    main()
