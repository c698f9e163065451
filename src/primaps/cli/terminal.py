"""What the command line prints: progress bars with a rate and a remaining time, notes, and errors
without a traceback.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Column
from rich.text import Text

from primaps.cli.durations import Durations, durations_file
from primaps.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_SOME_FAILED, EXIT_USAGE
from primaps.cli.job import Job
from primaps.cli.log_json import job_log, present_log, words_are_off
from primaps.cli.pace import Clock, Pace, in_words
from primaps.cli.stopping import present_stopping, stopping_on_signals
from primaps.compute.compiling.announcing import compilation_was_told
from primaps.errors import (
    BackboneError,
    CheckpointError,
    ConfigError,
    MissingExtraError,
    PrimapsError,
)
from primaps.types import Failure, ReadingNote

if TYPE_CHECKING:
    from primaps.runs.run import Run

_LOGGED_EVERY = 15.0
"""Seconds between two events that only tell how far a stage is."""

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
        self._log, self._stopping = present_log(), present_stopping()
        self._logged = 0.0

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """A job of these stages begins."""
        self._job.plan(stages, kind, images)

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins, ``done`` of which an earlier run did.

        Raises:
            Stopped: If the command shall stop.
        """
        self.finish()
        self._stopping.step()
        self._stopping.in_work = True
        self._event("stage_begin", stage=stage, total=total, done=done)
        self._logged = self._clock()
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
        """So many steps of the present stage are done.

        Raises:
            Stopped: If the command shall stop.
        """
        self._pace.advance(steps)
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, steps)
        if self._log is not None and self._clock() - self._logged >= _LOGGED_EVERY:
            self._logged = self._clock()
            self._event("progress", **self._state())
        self._stopping.step()

    def finish(self) -> None:
        """The present stage is over; one in which nothing had to be done is passed over in
        silence.
        """
        if self._bars is not None:
            self._bars.stop()
        self._stopping.in_work = False
        if self._stage is not None:
            self._event("stage_end", **self._state())
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
        self._event("note", text=message)

    def failed(self, failure: Failure) -> None:
        """An input could not be used; `exit_with` names it at the end."""
        if self._log is not None:
            path, stage, reason = failure.path, failure.stage, failure.reason
            self._log.write("image_failed", "warning", image=path, stage=stage, reason=reason)

    def warned(self, image: str, notes: Sequence[ReadingNote]) -> None:
        """An image was used in another way than plain 8-bit RGB; the report tells it."""
        if self._log is not None:
            texts = [note.text for note in notes]
            self._log.write("image_warning", "warning", image=image, notes=texts)

    def resumed(self, folder: str) -> None:
        """The job goes on from where a stopped or killed one was."""
        self._event("resumed", folder=folder)

    def _event(self, event: str, **fields: Any) -> None:
        if self._log is not None:
            self._log.write(event, **fields)

    def _state(self) -> dict[str, Any]:
        pace = self._pace
        seconds = round(pace.elapsed(), 3)
        return {"stage": self._stage, "done": pace.done, "total": pace.total, "seconds": seconds}

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
def reported_errors(console: Console, *, resumable: bool = True) -> Iterator[None]:
    """Turn errors meant for the user into a message and the documented exit code, and signals into
    an end that loses nothing; keep the log, if one is wanted.

    Args:
        console: Where to print.
        resumable: Run again, the command goes on from where it was.
    """
    with (
        _exit_codes(console, resumable=resumable),
        job_log() as log,
        stopping_on_signals(console, (lambda _: None) if log is None else log.end),
        _exit_codes(console, resumable=resumable),  # the log tells them, too
    ):
        yield


@contextlib.contextmanager
def _exit_codes(console: Console, *, resumable: bool) -> Iterator[None]:
    log = present_log()
    try:
        yield
    except PrimapsError as error:
        message = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
        console.print(
            f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True
        )
        if log is not None:
            log.write("error", "error", text=message)
        raise typer.Exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_FAILED) from None
    except KeyboardInterrupt:
        console.print(
            "Stopped; resumable: run the same command again to resume."
            if resumable
            else "Stopped. Run the same command again; it begins anew.",
            style="yellow",
        )
        if log is not None:
            log.write("stopped", "warning", resumable=resumable)
        raise typer.Exit(EXIT_INTERRUPTED) from None


def make_console() -> Console:
    """A console on standard error, so that standard output stays free for results."""
    return Console(file=sys.stderr, quiet=words_are_off())


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
    if failures and words_are_off():
        raise typer.Exit(EXIT_SOME_FAILED)
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
