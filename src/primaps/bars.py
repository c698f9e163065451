"""Progress of a library call: one line that is drawn again and again, in a terminal or a notebook,
and nothing where nobody looks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from primaps.errors import ConfigError
from primaps.progress import Progress, Silent

_CELLS: Final = 24
_EVERY: Final = 0.1
"""Seconds between two drawings."""


def told_to(progress: Progress | bool | None) -> Progress:
    """Who is told of the progress of a library call.

    Args:
        progress: True = a line that is drawn on stderr, in a notebook on stdout, which it does not
            show in red; False = nobody; None = such a line in a terminal or a notebook, nobody
            elsewhere; or an object that is told.

    Raises:
        ConfigError: If it is none of these.
    """
    if progress is None:
        progress = _in_notebook() or sys.stderr.isatty()
    if isinstance(progress, bool):
        stream = sys.stdout if _in_notebook() else sys.stderr
        return LineProgress(stream) if progress else Silent()
    if not callable(getattr(progress, "advance", None)):
        raise ConfigError(
            "Expected progress to be True, False, None or an object with the methods of"
            f" primaps.progress.Progress, but got {progress!r}."
        )
    return progress


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class LineProgress:
    """A line per stage, which becomes one about the seconds when the stage is over.

    Args:
        stream: Where it is drawn.
        clock: Gives seconds.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.perf_counter) -> None:
        self._stream = stream
        self._clock = clock
        self._stage: str | None = None
        self._total = self._done = self._before = self._width = 0
        self._began = self._drawn = 0.0

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """Each stage speaks for itself."""

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins, ``done`` of which an earlier run did."""
        self.finish()
        self._stage, self._total, self._done, self._before = stage, total, done, done
        self._began = self._clock()
        if total:
            self._draw()

    def advance(self, steps: int = 1) -> None:
        """So many steps of the present stage are done."""
        self._done += steps
        if self._stage is not None and self._clock() - self._drawn >= _EVERY:
            self._draw()

    def finish(self) -> None:
        """The present stage is over."""
        if self._stage is not None:
            made, seconds = self._done - self._before, self._clock() - self._began
            self._write(f"{self._stage:<12} {made} in {seconds:.1f} s\n" if made else "")
        self._stage = None

    def note(self, message: str) -> None:
        """Something the user should know."""
        self._write(f"{message}\n")
        if self._stage is not None:
            self._draw()

    def _draw(self) -> None:
        self._drawn = self._clock()
        share = min(1.0, self._done / self._total) if self._total else 1.0
        bar = "#" * round(share * _CELLS)
        line = f"{self._stage:<12} [{bar:<{_CELLS}}] {self._done}/{self._total}{self._left()}"
        self._write(line)
        self._width = len(line)

    def _left(self) -> str:
        """Seconds that remain at the rate so far."""
        made, seconds = self._done - self._before, self._drawn - self._began
        if made < 2 or seconds < 2:
            return ""
        left = max(0, self._total - self._done) * seconds / made
        return f", {left:.0f} s left" if left < 100 else f", {left / 60:.0f} min left"

    def _write(self, text: str) -> None:
        """In place of the line that was drawn."""
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self._stream.write(text)
        self._stream.flush()
