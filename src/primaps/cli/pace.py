"""How fast work goes on, and how long it still takes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]

WINDOW: Final = 30.0
"""Seconds that a rate is taken over."""
SETTLING: Final = 2.0
"""Seconds before a rate is told: few steps say little."""


class Pace:
    """Rate and remaining time of work whose steps are alike.

    The first step counts for nothing: files are opened, libraries loaded and loops compiled in it.

    Args:
        total: Steps in all.
        done: Those of them that were done before; they do not count for the rate.
        clock: Gives seconds.
    """

    def __init__(self, total: int, done: int, clock: Clock) -> None:
        self.total, self.done, self._clock = total, done, clock
        self._began = clock()
        self._start: tuple[float, int] | None = None  # the first step was done
        self._before = (self._began, done)  # the last moment that has left the window
        self._recent: deque[tuple[float, int]] = deque()

    def advance(self, steps: int) -> None:
        """So many further steps are done."""
        self.done += steps
        moment = (self._clock(), self.done)
        if self._start is None:
            self._start = self._before = moment
        else:
            self._recent.append(moment)

    def elapsed(self) -> float:
        """Seconds since the work began."""
        return self._clock() - self._began

    def rate(self) -> float | None:
        """Steps per second over the last `WINDOW` seconds; over all the time where steps take
        longer; None before it is known.
        """
        now = self._clock()
        while self._recent and self._recent[0][0] <= now - WINDOW:
            self._before = self._recent.popleft()
        if self._start is None or now - self._start[0] < SETTLING:
            return None
        since, done = self._before if self._recent else self._start
        return None if self.done == done else (self.done - done) / (now - since)

    def remaining(self) -> float | None:
        """Seconds that the rest takes at the present rate; None if that is not known."""
        rate = self.rate()
        return None if rate is None else max(0, self.total - self.done) / rate


def in_words(seconds: float) -> str:
    """A duration as one says it, such as ``40 s``, ``3 min`` or ``1 h 20 min``: the longer, the
    rounder.
    """
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"{round(seconds / 5) * 5} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{max(1, minutes)} min"
    minutes = round(minutes / 5) * 5
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 10 else f"{round(minutes / 60)} h"
