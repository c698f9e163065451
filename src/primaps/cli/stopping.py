"""What a signal does to a command (Ctrl-C, or SIGTERM from a scheduler): the first one has it end
with what is in work, a second one at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

from rich.console import Console

from primaps.cli.exit_codes import EXIT_INTERRUPTED
from primaps.progress import Stopped

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_PRESENT: Final[list[Stopping]] = []  # signals are the process's


class Stopping:
    """Whether the command shall stop.

    Args:
        console: Where it is said.
        ended: Called with the exit code before the process ends at once.

    Attributes:
        in_work: A stage is at work, which tells its steps.
        asked: Somebody wants it to stop.
    """

    def __init__(self, console: Console, ended: Callable[[int], None] = lambda _: None) -> None:
        self._console, self._ended = console, ended
        self.in_work = self.asked = False

    def step(self) -> None:
        """A step is done, or a stage about to begin: the place to stop at.

        Raises:
            Stopped: If the command shall stop.
        """
        if self.asked:
            self.in_work = False
            raise Stopped

    def receive(self, number: int, frame: FrameType | None = None) -> None:  # noqa: ARG002 - as handlers are called
        """A signal came."""
        if self.asked:
            self._end_at_once()
        self.asked = True
        if not self.in_work:
            raise Stopped
        with contextlib.suppress(RuntimeError):  # it came in the middle of a line
            self._console.print(
                "Stopping: what is in work is finished first. Once more ends at once.",
                style="yellow",
            )

    def _end_at_once(self) -> None:
        """Without another word of Python: whole files are whole, others are never read."""
        children = sys.modules.get("multiprocessing")
        for child in () if children is None else children.active_children():
            child.terminate()
        with contextlib.suppress(Exception):
            self._console.show_cursor()
            self._ended(EXIT_INTERRUPTED)
        os._exit(EXIT_INTERRUPTED)


@contextlib.contextmanager
def stopping_on_signals(
    console: Console, ended: Callable[[int], None] = lambda _: None
) -> Iterator[None]:
    """While this is open, signals stop the command as `Stopping` says; signals that the process was
    told to ignore stay ignored. Nothing happens outside the main thread.

    Args:
        console: Where it is said.
        ended: Called with the exit code before the process ends at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stopping = Stopping(console, ended)
    former = {number: signal.getsignal(number) for number in _SIGNALS}
    former = {number: how for number, how in former.items() if how is not signal.SIG_IGN}
    _PRESENT.append(stopping)
    for number in former:
        signal.signal(number, stopping.receive)
    try:
        yield
    finally:
        for number, how in former.items():
            signal.signal(number, signal.SIG_DFL if how is None else how)
        _PRESENT.remove(stopping)


def present_stopping() -> Stopping:
    """Of the command that is at work; one that never stops if there is none."""
    return _PRESENT[-1] if _PRESENT else Stopping(Console(quiet=True))
