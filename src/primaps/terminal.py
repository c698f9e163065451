"""What the command line prints: progress bars with a rate and a remaining time, notes, and errors without a traceback."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.text import Text

from primaps.errors import BackboneError, CheckpointError, ConfigError, MissingExtraError, PrimapsError
from primaps.types import Failure

EXIT_FAILED, EXIT_USAGE, EXIT_SOME_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

_USAGE_ERRORS = (BackboneError, CheckpointError, ConfigError, MissingExtraError)


class _RateColumn(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Bar) -> Text:
        return Text(f"{task.speed:.2f}/s" if task.speed else "", style="progress.data.speed")


class TerminalProgress:
    """One line per stage when it ends; on a terminal also a bar while it lasts.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._done, self._started = 0, 0.0

    def start(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self.finish()
        self._stage, self._done, self._started = stage, 0, time.perf_counter()
        if not self.console.is_interactive:  # rich would print an empty frame
            return
        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), _RateColumn(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=self.console, transient=True)
        self._task = self._bars.add_task(stage, total=total)
        self._bars.start()

    def advance(self, steps: int = 1) -> None:
        """So many steps of the present stage are done."""
        self._done += steps
        if self._bars is not None and self._task is not None:
            self._bars.advance(self._task, steps)

    def finish(self) -> None:
        """The present stage is over; one in which nothing had to be done is passed over in silence."""
        if self._bars is not None:
            self._bars.stop()
        if self._stage is not None and self._done:
            seconds = time.perf_counter() - self._started
            line = f"{self._stage:<16} {self._done} in {seconds:.1f} s"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._bars = self._task = self._stage = None

    def note(self, message: str) -> None:
        """Something the user should know."""
        self.console.print(message, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def reported_errors(console: Console) -> Iterator[None]:
    """Turn errors meant for the user into a message and the documented exit code."""
    try:
        yield
    except PrimapsError as error:
        message = str(error).encode("utf-8", "backslashreplace").decode("utf-8")
        console.print(f"Error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_USAGE if isinstance(error, _USAGE_ERRORS) else EXIT_FAILED) from None
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to resume.", style="yellow")
        raise typer.Exit(EXIT_INTERRUPTED) from None


def make_console() -> Console:
    """A console on standard error, so that standard output stays free for results."""
    return Console(file=sys.stderr)


def exit_with(failures: Sequence[Failure], where: str = "") -> None:
    """End with exit code 3 if some inputs failed; the first ones are named on standard error.

    Args:
        failures: Inputs that could not be used.
        where: Where all of them are listed, as the end of a clause.

    Raises:
        typer.Exit: If there are failures.
    """
    if failures:
        typer.echo(f"{len(failures)} inputs could not be used{where}:", err=True)
        for failure in failures[:10]:
            typer.echo(f"  {failure.path}: {failure.reason}", err=True)
        raise typer.Exit(EXIT_SOME_FAILED)
