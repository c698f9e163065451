"""How long steps tell what they do: an interface that the command line draws and a library call
leaves silent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from primaps.types import Failure, ReadingNote


class Stopped(KeyboardInterrupt):
    """Raised by whoever is told of a step to have the work end with it.

    To the pipeline the same as Ctrl-C, but for the moment: never in the middle of anything. What is
    in work besides is finished and kept.
    """


class Progress(Protocol):
    """Receives the progress of one stage after the other."""

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """A job of these stages begins.

        A part of a stage is named ``stage: part``.

        Args:
            stages: Their names, in order.
            kind: Jobs of one kind take equally long per image on one machine; empty = nothing is
                known to be alike.
            images: Images that all stages still have to do; 0 = some are partly done, so that
                durations say nothing.
        """
        ...

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """A stage of ``total`` steps begins, ``done`` of which an earlier run did.

        It ends when the next one starts or `finish` is called.
        """
        ...

    def advance(self, steps: int = 1) -> None:
        """So many steps of the present stage are done."""
        ...

    def finish(self) -> None:
        """The present stage is over."""
        ...

    def note(self, message: str) -> None:
        """Something the user should know."""
        ...


@runtime_checkable
class Witness(Progress, Protocol):
    """Progress that is told of single inputs, too: a log, counters."""

    def failed(self, failure: Failure) -> None:
        """An input could not be used."""
        ...

    def warned(self, image: str, notes: Sequence[ReadingNote]) -> None:
        """An image was used in another way than plain 8-bit RGB.

        Args:
            image: Its name.
            notes: What was done to it; one or more.
        """
        ...

    def resumed(self, folder: str) -> None:
        """The job goes on from where a stopped or killed one was."""
        ...


def tell_failures(progress: Progress, failures: Sequence[Failure]) -> None:
    """Inputs could not be used; progress that does not ask for such is not told."""
    if isinstance(progress, Witness):
        for failure in failures:
            progress.failed(failure)


def tell_warnings(progress: Progress, image: str, notes: Sequence[ReadingNote]) -> None:
    """What was done to an image, if anything; as `tell_failures`."""
    if notes and isinstance(progress, Witness):
        progress.warned(image, notes)


def tell_resumed(progress: Progress, folder: str) -> None:
    """The job in a folder goes on; as `tell_failures`."""
    if isinstance(progress, Witness):
        progress.resumed(folder)


class Silent:
    """Says nothing."""

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """Ignore it."""

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """Ignore it."""

    def advance(self, steps: int = 1) -> None:
        """Ignore it."""

    def finish(self) -> None:
        """Ignore it."""

    def note(self, message: str) -> None:
        """Ignore it."""
