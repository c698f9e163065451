"""Mutate the files of a run and give the commands that read them: `python tools/fuzz_run_files.py`.

A small run is made once, with names, corrections, a candidate, a head, checkpoints and options
(`fuzzed_run/making.py`). Each trial mutates one of its files (`fuzzed_run/mutating.py`), from a
number of its own, so that every one can be made again (--first N --trials 1 --verbose), and gives
one command that reads it (`fuzzed_run/reading.py`), in a process that may take 10 seconds and 2 GB
of memory for it. Right are: the same results as without the mutation; a refusal that names the
file; results that differ where people may type into the file; recomputed with a note. Wrong are:
another exception, code that was run, names or corrections lost, a damaged file that is used without
a word, too long, too much memory, a process that ends; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from fuzzed_run.making import make_tree
from fuzzed_run.mutating import mutate
from fuzzed_run.reading import KINDS, Outcome, chosen, judged, obey, typed

SECONDS: Final = 10.0
"""Of processor time, which other work on the machine does not lengthen."""
PATIENCE: Final = 60.0
"""Seconds on the clock; after that it hangs."""
MEMORY: Final = 2 << 30
"""Bytes."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One mutated file.

    Attributes:
        number: Of the trial.
        kind: Sort of file.
        what: The mutation, the file and the command.
        found: What became of it.
        seconds: Processor time of the command.
        text: What it said.
    """

    number: int
    kind: str
    what: str
    found: str
    seconds: float
    text: str = ""


class Trials:
    """Trials in a folder.

    Args:
        folder: ``whole`` in it is what is copied to ``tree`` for every trial; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.whole, self.tree = folder / "whole", folder / "tree"
        self._usual: dict[str, Outcome] = {}
        if not self.whole.exists():
            make_tree(self.tree)  # where it is used: some files hold whole paths
            self.tree.rename(self.whole)

    def usual(self, command: str) -> Outcome:
        """What a command does when nothing is mutated."""
        if command not in self._usual:
            self._copy()
            self._usual[command] = obey(command, self.tree)
        return self._usual[command]

    def run(self, number: int) -> Trial:
        """Mutate a file and give a command."""
        kind, path, command, generator = chosen(number, self.whole)
        usual = self.usual(command)
        self._copy()
        path = self.tree / path.relative_to(self.whole)
        how = mutate(path, KINDS[kind].mutations, generator)
        before, began = typed(self.tree), time.process_time()
        made = obey(command, self.tree)
        seconds = time.process_time() - began
        found = judged((KINDS[kind], path, command), self.tree, before, made, usual)
        if seconds > SECONDS:
            found = f"WRONG: {seconds:.1f} s"
        what = f"{how} of {path.relative_to(self.tree)}, {command}"
        return Trial(number, kind, what, found, seconds, made.text)

    def _copy(self) -> None:
        os.chdir(self.whole)
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(self.whole, self.tree)


def _child(connection: Connection, folder: str) -> None:
    """Do the trials whose numbers come, until there are no more."""
    import logging

    from fuzzed_run.reading import COMMANDS

    logging.disable(logging.CRITICAL)
    os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
    trials = Trials(Path(folder))
    for command in COMMANDS:  # libraries are loaded, and so no file's
        usual = trials.usual(command)
        if usual.code not in {0, 3}:
            raise RuntimeError(f"{command}: {usual.code} {usual.text}")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    connection.send("ready")
    while (number := connection.recv()) is not None:
        connection.send(trials.run(number))


@dataclasses.dataclass
class Process:
    """A process that does trials, started anew when it has to be ended."""

    folder: str
    process: Any = None
    connection: Any = None

    def run(self, number: int) -> Trial:
        """Do a trial."""
        if self.process is None:
            self._start()
        self.connection.send(number)
        kind, path, command, _ = chosen(number, Path(self.folder) / "whole")
        began = time.perf_counter()
        try:
            if self.connection.poll(PATIENCE):
                found: Trial = self.connection.recv()
                return found
            why = f"WRONG: more than {PATIENCE:g} s"
        except EOFError:
            why = "WRONG: the process ended"
        self._end()
        what = f"{path.name}, {command}"
        return Trial(number, kind, what, why, time.perf_counter() - began)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.connection.send(None)
            self.process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_child, args=(other, self.folder), daemon=True)
        self.process.start()
        other.close()
        self.connection.recv()

    def _end(self) -> None:
        self.process.kill()
        self.process.join()
        self.process = None


def main() -> None:
    """Do the trials and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--verbose", action="store_true", help="Print every trial.")
    options = parser.parse_args()
    done: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        process = Process(folder)
        for number in range(options.first, options.first + options.trials):
            trial = process.run(number)
            done.append(trial)
            if options.verbose or trial.found.startswith("WRONG"):
                print(f"{number} {trial.what}: {trial.found}", flush=True)
            if options.verbose:
                print(trial.text)
        process.close()
    sys.exit(_tell(done))


def _tell(done: list[Trial]) -> int:
    """Print a row per sort of file; the exit code."""
    columns = ("the same", "used", "told", "refused", "WRONG")
    counts = Counter((trial.kind, trial.found.partition(":")[0]) for trial in done)
    print("| file |", " | ".join(columns), "|\n|---|" + "---|" * len(columns))
    for kind in KINDS:
        print(f"| {kind} |", " | ".join(str(counts[kind, each]) for each in columns), "|")
    print("| all |", " | ".join(str(sum(counts[k, each] for k in KINDS)) for each in columns), "|")
    print(f"{len(done)} files, the slowest command {max(each.seconds for each in done):.1f} s.")
    return int(any(trial.found.startswith("WRONG") for trial in done))


if __name__ == "__main__":
    main()
