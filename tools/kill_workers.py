"""Kill workers, or the command itself, with SIGKILL while images are worked on, and compare what
comes out with an undisturbed run, byte by byte.

    python tools/kill_workers.py --engine ray --kill workers
    python tools/kill_workers.py --engine ray --kill command

Images are drawn from a seed, as are the moments and the victims. Of the outputs, everything but
``run.json`` and ``metrics.prom`` (times) is compared: plan, tar files, records, manifest, failures.
Linux only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

WORKER = b"primaps.engine.worker"
ACTOR = b"RayWorker"


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        images: Folder of the images.
        out: Where outputs go.
        engine: ``local`` or ``ray``.
        workers: Number of workers.
        shards: Images per shard.
    """

    images: Path
    out: Path
    engine: str
    workers: int
    shards: int

    def start(self) -> subprocess.Popen[bytes]:
        """Start it, by itself in a process group."""
        command = [sys.executable, "-m", "primaps", "proposals", str(self.images)]
        command += ["--out", str(self.out), "--preset", "fast", "--backbone", "texture"]
        command += ["--engine", self.engine, "--workers", str(self.workers)]
        command += ["--shards", str(self.shards)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def finish(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for it; any exit status but 0 ends the measurement."""
        _, told = process.communicate()
        if process.returncode:
            raise SystemExit(f"exit status {process.returncode}:\n{told.decode()}")

    def in_work(self) -> bool:
        """Whether shards are still being worked on."""
        return not (self.out / "manifest.jsonl").exists()


def draw_images(folder: Path, count: int, seed: int) -> None:
    """Write images of 64 x 48 pixels with coloured areas."""
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        cells = draw.integers(0, 255, (6, 8, 3), dtype=np.uint8)
        pixels = np.kron(cells, np.ones((8, 8, 1), dtype=np.uint8))
        place = folder / f"{number % 10}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:05d}.png")


def processes_below(pid: int) -> Iterator[tuple[int, bytes]]:
    """Numbers and command lines of the processes that a process started, and of theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text("ascii", errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    for each in parents:
        above = each
        while above in parents and above != pid:
            above = parents[above]
        if above == pid and each != pid:
            try:
                yield each, (Path("/proc") / str(each) / "cmdline").read_bytes()
            except OSError:
                continue


def kill_workers(job: Job, kills: int, draw: random.Random) -> int:
    """Run a job, and kill workers; with Ray every second one is an actor, if there is one.

    Returns:
        Number of workers that were killed.
    """
    process, done = job.start(), 0
    moment = 0.0
    while process.poll() is None and done < kills:
        time.sleep(0.05)
        found = list(processes_below(process.pid))
        wanted = ACTOR if job.engine == "ray" and done % 2 else WORKER
        victims = sorted(each for each, command in found if wanted in command)
        if not victims or not job.in_work():
            moment = 0.0
            continue
        if not moment:
            moment = time.monotonic() + draw.uniform(0.2, 2.5)
        if time.monotonic() >= moment:
            os.kill(draw.choice(victims), signal.SIGKILL)
            done += 1
            moment = time.monotonic() + draw.uniform(0.2, 2.5)
    job.finish(process)
    return done


def kill_command(job: Job, kills: int, draw: random.Random, seconds: float) -> int:
    """Start a job again and again, and kill it.

    Args:
        job: The job.
        kills: How often.
        draw: Of the moments.
        seconds: That it takes undisturbed.

    Returns:
        Number of times that it was killed.
    """
    done = 0
    for _ in range(kills):
        process = job.start()
        end = time.monotonic() + draw.uniform(0.2, 0.5) * seconds
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        done += 1
    job.finish(job.start())
    return done


def contents(folder: Path) -> dict[str, str]:
    """Checksums of all outputs, by path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in {"run.json", "metrics.prom"}
        and not path.name.endswith("-lock")
    }


def compare(expected: Path, found: Path, images: int) -> None:
    """Refuse outputs that differ, or a manifest that does not have every image once."""
    first, second = contents(expected), contents(found)
    differing = sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )
    if differing:
        raise SystemExit(f"{len(differing)} files differ: {', '.join(differing[:10])}")
    lines = (found / "manifest.jsonl").read_text("ascii").splitlines()
    names = [json.loads(line)["name"] for line in lines]
    if len(names) != images or len(set(names)) != images:
        raise SystemExit(f"{len(names)} lines, {len(set(names))} names, {images} images")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("local", "ray"), default="ray")
    parser.add_argument("--kill", choices=("workers", "command"), default="workers")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shards", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    draw = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        draw_images(root / "images", given.images, given.seed)
        usual = Job(root / "images", root / "usual", given.engine, given.workers, given.shards)
        started = time.monotonic()
        usual.finish(usual.start())
        seconds = time.monotonic() - started
        job = Job(root / "images", root / "killed", given.engine, given.workers, given.shards)
        started = time.monotonic()
        if given.kill == "workers":
            kills = kill_workers(job, given.kills, draw)
        else:
            kills = kill_command(job, given.kills, draw, seconds)
        took = time.monotonic() - started
        compare(usual.out, job.out, given.images)
        print(
            f"{given.engine}, {given.workers} workers, {given.images} images, seed {given.seed}:"
            f" {given.kill} killed {kills} times; all outputs equal, every image once"
            f" (undisturbed {seconds:.0f} s, killed {took:.0f} s)"
        )


if __name__ == "__main__":
    main()
