"""What training a head costs: CPU seconds per photograph that is cut, and per training step, with
the preset `default`.

python benchmarks/heads.py PHOTOGRAPHS [--backbone mini] [--count 4] [--steps 8]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from primaps.data.scanning import scan
from primaps.heads.loading import load_backbone
from primaps.heads.settings import HPConfig, StegoConfig, hp_preset, stego_preset
from primaps.pipeline.heads.head_fitting import HeadJob, fit_head
from primaps.progress import Silent


class Clock(Silent):
    """CPU seconds per unit of every stage, the first two units left out: they pay for loading and
    compiling.
    """

    def __init__(self) -> None:
        """Start without stages."""
        self.times: dict[str, list[float]] = {}

    def start(self, stage: str, total: int, done: int = 0) -> None:  # noqa: ARG002 - of the interface
        """Time the units of this stage from now on."""
        self.now = self.times.setdefault(stage, [])

    def advance(self, steps: int = 1) -> None:
        """One more unit is done."""
        self.now += [time.process_time()] * bool(steps)

    def seconds(self, stage: str) -> float:
        """Mean per unit."""
        times = self.times[stage][1:]
        return (times[-1] - times[0]) / (len(times) - 1)


def main() -> None:
    """Print one line per kind of head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photographs")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    backbone = load_backbone(arguments.backbone, device="cpu")
    paths = [str(image.path) for image in scan([arguments.photographs]).images[: arguments.count]]
    configs: tuple[StegoConfig | HPConfig, ...] = (stego_preset("default"), hp_preset("default"))
    for config in configs:
        with tempfile.TemporaryDirectory() as folder:
            clock = Clock()
            job = HeadJob(
                paths,
                Path(folder) / "head",
                backbone,
                config.with_steps(arguments.steps),
                num_clusters=11,
            )
            fit_head(job, progress=clock)
        crops, step = clock.seconds("crops"), clock.seconds(f"{job.kind} head")
        print(f"{job.kind}: {crops:.2f} s per photograph, {step:.2f} s per step")


if __name__ == "__main__":
    main()
