"""Kill `primaps segment` at random moments, and start it again: `python tools/kill_segment.py`.

Every other kill comes after a random time, the others at a random operation that changes a file, or
inside it. A run that was killed goes on in the same folder; one that ended is compared with the
undisturbed one, byte for byte without what tells times, and a new folder is begun. The exit code
is 1 if a run did not end well, or ended otherwise.

Every attempt is forked from this process, which has imported everything and has no threads.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from write_faults.attempts import Attempt, attempt, command_line, contents, warm_up
from write_faults.operations import Fault
from write_faults.photographs import draw_photographs
from write_faults.short_fits import shorten_fits

OPTIONS: Final = (
    *("--backbone", "texture", "--preset", "fast", "--size", "64"),
    *("--classes", "4", "--crf", "--seed", "0"),
)


@dataclass
class Killing:
    """Kills and what came of them.

    Attributes:
        work: Folder of everything.
        generator: Draws the moments.
        whole: Of the undisturbed run: what it wrote.
        length: Its seconds.
        operations: Its number of operations.
        stages: Number of kills by the stage that they fell into.
        finished: Runs that ended.
        wrong: What was found.
    """

    work: Path
    generator: random.Random
    whole: dict[str, bytes] = field(default_factory=dict)
    length: float = 0.0
    operations: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    wrong: list[str] = field(default_factory=list)

    def command(self, out: Path) -> Callable[[], None]:
        """The main job into a folder."""
        return command_line("segment", self.work / "photos", "--out", out, *OPTIONS)

    def undisturbed(self) -> None:
        """Run once as nobody disturbs it."""
        out = self.work / "undisturbed"
        done = attempt(self.command(out), out)
        if done.code:
            sys.exit(f"The undisturbed run ended with {done.code}:\n{done.text}")
        self.whole, self.length, self.operations = contents(out), done.seconds, done.operations

    def kill(self, out: Path, number: int) -> tuple[Attempt, str]:
        """Start a run in a folder to kill it; returns how it ended, and the moment in words."""
        if number % 2:
            seconds = self.generator.uniform(0.0, self.length)
            moment = f"kill {number}, after {seconds:.4f} s"
            return attempt(self.command(out), out, kill_after=seconds), moment
        struck = self.generator.randint(1, self.operations)
        kind = self.generator.choice(["kill", "kill inside"])
        moment = f"kill {number}, {kind} at operation {struck}"
        return attempt(self.command(out), out, Fault(struck, kind)), moment

    def run(self, kills: int, *, told: bool) -> None:
        """Kill so many times, then let the last run end."""
        done, number, folder = 0, 0, 0
        moments: list[str] = []
        while done < kills:
            number += 1
            out = self.work / f"run-{folder:04}"
            made, moment = self.kill(out, number)
            if made.killed:
                done += 1
                moments.append(moment)
                self.stages[stage_of(out)] += 1
                if told and done % 10 == 0:
                    print(f"{done} kills, {self.finished} runs ended", flush=True)
                continue
            self.compare(out, made, moments)
            folder, moments = folder + 1, []
        if moments:
            out = self.work / f"run-{folder:04}"
            self.compare(out, attempt(self.command(out), out), moments)

    def compare(self, out: Path, made: Attempt, moments: list[str]) -> None:
        """Whether a run that ended wrote what the undisturbed one did; its folder goes then."""
        self.finished += 1
        before = len(self.wrong)
        if made.code:
            self.wrong.append(f"{out.name} after {moments}: exit code {made.code}\n{made.text}")
        now = contents(out)
        other = [name for name in now | self.whole if now.get(name) != self.whole.get(name)]
        if other:
            self.wrong.append(f"{out.name} after {moments}: other bytes in {other[:8]}")
        if len(self.wrong) == before:
            shutil.rmtree(out)


def stage_of(out: Path) -> str:
    """The stage in which a killed run was, by what lies in its folder."""
    if not (out / "run.json").exists():
        return "begin"
    if not (out / "store" / "manifest.json").exists():
        return "proposals"
    if not (out / "model" / "model.json").exists():
        return "fit"
    if not (out / "report.html").exists():
        return "label maps and report"
    return "end"


def main() -> None:
    """Kill, compare, tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--steps", type=int, default=40, help="of the fit")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="empty folder; kept")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="primaps-kill-") as temporary:
        work = (given.work or Path(temporary)).absolute()
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        draw_photographs(work / "photos", given.images)
        killing = Killing(work, random.Random(given.seed))
        shorten_fits(given.steps)
        warm_up(killing.command(work / "warm"))
        killing.undisturbed()
        started = time.perf_counter()
        killing.run(given.kills, told=True)
        print(
            f"undisturbed run: {killing.length:.1f} s, {killing.operations} operations;"
            f" {given.kills} kills in {time.perf_counter() - started:.0f} s,"
            f" {killing.finished} runs ended, seed {given.seed}"
        )
        for stage, number in killing.stages.most_common():
            print(f"  killed in {stage}: {number}")
        for wrong in killing.wrong:
            print("WRONG", wrong)
        print(f"{len(killing.wrong)} wrong")
    sys.exit(bool(killing.wrong))


if __name__ == "__main__":
    main()
