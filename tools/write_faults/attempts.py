"""Commands in processes of their own that start at once: forked from one that has imported
everything and has no threads.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from write_faults.operations import Counter, Fault, Operations

UNCAUGHT: Final = 70
"""Exit code of a command that ended with an exception that nobody caught."""


@dataclass(frozen=True)
class Attempt:
    """How a command ended.

    Attributes:
        code: Exit code; negative = the signal that ended it.
        text: What it said on standard output and standard error.
        operations: Number of operations that changed files.
        told: Their names; only of commands that ended by themselves.
        seconds: It took.
    """

    code: int
    text: str
    operations: int
    told: tuple[str, ...]
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -signal.SIGKILL


def command_line(*arguments: str | Path) -> Callable[[], None]:
    """A command line, to be run in this process."""

    def run() -> None:
        from primaps.cli import app

        app([str(each) for each in arguments], prog_name="primaps")

    return run


def warm_up(command: Callable[[], None]) -> None:
    """Run a command in this process, so that those forked from it find everything imported and
    compiled.

    Raises:
        RuntimeError: If it did not end well, or left a thread: forked processes would not have it.
    """
    try:
        command()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError(f"Expected the command to end well, but got {ended.code}.") from None
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:
        raise RuntimeError(f"Expected a process without further threads, but it has {threads}.")


def attempt(
    command: Callable[[], None],
    root: Path,
    fault: Fault | None = None,
    kill_after: float | None = None,
) -> Attempt:
    """Run a command in a forked process.

    Args:
        command: What it does.
        root: Folder whose changes are counted.
        fault: The operation that is struck, and how; None = none.
        kill_after: Seconds after which it gets SIGKILL; None = never.
    """
    counter = Counter()
    with tempfile.TemporaryDirectory(prefix="primaps-attempt-") as scratch:
        said, told = Path(scratch, "said"), Path(scratch, "told")
        started = time.perf_counter()
        child = os.fork()
        if not child:
            _work(command, Operations(str(root.absolute()), counter, fault), said, told)
        code = _end(child, kill_after)
        return Attempt(
            code,
            said.read_text("utf-8", "replace") if said.exists() else "",
            counter.value,
            tuple(told.read_text("utf-8").splitlines()) if told.exists() else (),
            time.perf_counter() - started,
        )


def _end(child: int, kill_after: float | None) -> int:
    if kill_after is not None:
        end = time.perf_counter() + kill_after
        while time.perf_counter() < end:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _work(command: Callable[[], None], operations: Operations, said: Path, told: Path) -> None:
    """The forked process, from its beginning to its end."""
    code: int = UNCAUGHT
    try:
        descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        operations.install()
        command()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what nobody caught is the finding
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        told.write_text("\n".join(operations.told), encoding="utf-8")
        os._exit(code)


TIMES: Final = ("run.json", "report.html", "metrics.prom")
"""Files of a run that tell when it was or how long it took."""


def contents(root: Path, left_out: Sequence[str] = TIMES) -> dict[str, bytes]:
    """The bytes of every file below a folder by its path, without locks, the files of ``left_out``,
    and those in folders of it, which end with a slash.
    """
    return {
        name: path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith("-lock")
        if (name := path.relative_to(root).as_posix()) not in left_out
        and not any(each.endswith("/") and name.startswith(each) for each in left_out)
    }
