"""What the command line prints: progress bars with a rate and a remaining time, notes, and errors
without a traceback.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Column
from rich.text import Text

from primaps.cli.durations import Durations, durations_file
from primaps.cli.job import Job
from primaps.cli.pace import Clock, Pace, in_words
from primaps.compute.compiling.announcing import compilation_was_told
from primaps.errors import (
    BackboneError,
    CheckpointError,
    ConfigError,
    MissingExtraError,
    PrimapsError,
)
from primaps.types import Failure

if TYPE_CHECKING:
    from primaps.runs.run import Run

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

_USAGE_ERRORS = (BackboneError, CheckpointError, ConfigError, MissingExtraError)


class TerminalProgress:
    """One line per stage when it ends; on a terminal also a bar while it lasts.

    The bar tells the stage and its number, its rate and remaining time, and for the whole job the
    time so far and, where earlier jobs of its kind give a basis, what remains.

    Args:
        console: Where to print.
        clock: Gives seconds.
        durations: What earlier jobs took; None = nothing is known, nothing is kept.
    """

    def __init__(
        self, console: Console, clock: Clock = time.perf_counter, durations: Durations | None = None
    ) -> None:
        self.console = console
        self._clock = clock
        self._job = Job(clock, durations)
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._before = 0
        self._pace = Pace(0, 0, clock)

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """A job of these stages begins."""
        self._job.plan(stages, kind, images)

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins, ``done`` of which an earlier run did."""
        self.finish()
        self._stage, self._before = stage, done
        self._pace = Pace(total, done, self._clock)
        self._job.start(stage, resumed=done > 0)
        if not self.console.is_interactive:  # rich would print an empty frame
            return
        name = TextColumn("{task.description:<16}", table_column=Column(no_wrap=True))
        done_of_all = MofNCompleteColumn(table_column=Column(no_wrap=True))
        # a narrow terminal takes from the bar
        columns = (name, BarColumn(None), done_of_all, _Told(self._told))
        self._bars = Bars(*columns, console=self.console, transient=True, expand=True)
        self._task = self._bars.add_task(self._job.numbered(stage), total=total, completed=done)
        self._bars.start()

    def advance(self, steps: int = 1) -> None:
        """So many steps of the present stage are done."""
        self._pace.advance(steps)
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, steps)

    def finish(self) -> None:
        """The present stage is over; one in which nothing had to be done is passed over in
        silence.
        """
        if self._bars is not None:
            self._bars.stop()
        if self._stage is not None:
            done = self._pace.done - self._before
            if done:
                line = (
                    f"{self._job.numbered(self._stage):<{16 + self._job.indent}} {done} in"
                    f" {self._pace.elapsed():.1f} s"
                )
                self.console.print(line, highlight=False, markup=False, soft_wrap=True)
            self._job.finish(
                typical=self._pace.done >= self._pace.total and not compilation_was_told()
            )
        self._bars = self._task = self._stage = None

    def note(self, message: str) -> None:
        """Something the user should know."""
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)

    def _told(self) -> str:
        """Rate and remaining time of the stage, time so far and remaining time of the job, as far
        as they are known.
        """
        rate, left = self._pace.rate(), self._pace.remaining()
        words = []
        if rate is not None:
            words.append(f"{rate:.3g}/s" if rate >= 1 else f"{1 / rate:.3g} s each")
        if left is not None:
            words.append(f"{in_words(left)} left")
        job = f"job {_on_a_watch(self._job.elapsed())}"
        whole = self._job.remaining(left)
        words.append(job if whole is None else f"{job}, about {in_words(whole)} left")
        return " · ".join(words)


class _Told(ProgressColumn):
    """Words that are asked for whenever the bar is drawn."""

    def __init__(self, words: Callable[[], str]) -> None:
        super().__init__(Column(no_wrap=True))
        self._words = words

    def render(self, task: Bar) -> Text:  # noqa: ARG002 - the stage knows itself
        return Text(self._words(), style="progress.remaining")


def _on_a_watch(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextlib.contextmanager
def reported_errors(console: Console) -> Iterator[None]:
    """Turn errors meant for the user into a message and the documented exit code."""
    try:
        yield
    except PrimapsError as error:
        message = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
        console.print(
            f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        raise typer.Exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_FAILED) from None
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to resume.", style="yellow")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def make_console() -> Console:
    """A console on standard error, so that standard output stays free for results."""
    return Console(file=sys.stderr)


def run_progress(console: Console) -> TerminalProgress:
    """Progress of a job that tells what earlier jobs of its kind took, and is remembered itself."""
    return TerminalProgress(console, durations=Durations(durations_file()))


def exit_with(failures: Sequence[Failure], where: str = "") -> None:
    """End with exit code 3 if some inputs failed; the first ones are named on standard error.

    Args:
        failures: Inputs that could not be used.
        where: Where all of them are listed, as the end of a clause.

    Raises:
        typer.Exit: If there are failures.
    """
    if failures:
        inputs = "1 input" if len(failures) == 1 else f"{len(failures)} inputs"
        typer.echo(f"{inputs} could not be used{where}:", err=True)
        for failure in failures[:10]:
            typer.echo(f"  {failure.path}: {failure.reason}", err=True)
        raise typer.Exit(EXIT_SOME_FAILED)


def exit_after(run: Run) -> None:
    """End a command that worked in a run folder: with exit code 3 if some inputs failed.

    Raises:
        typer.Exit: If there are failures.
    """
    exit_with(run.failures, f"; see {run.folder.failures_file}")
