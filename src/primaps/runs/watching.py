"""Who is told which images are in work: what was begun and not ended when a process died is what
may have ended it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from primaps.types import ImageFile


class Watch(Protocol):
    """Receives what a run does to its images; called from several threads."""

    def begun(self, image: ImageFile) -> None:
        """Work on an image begins."""
        ...

    def ended(self, image: ImageFile) -> None:
        """Work on an image is over, whether something came out or not."""
        ...

    def looked(self, image: ImageFile) -> None:
        """An image was looked into, and is no longer in work; nothing is done to it yet."""
        ...


class Unwatched:
    """Nobody is told."""

    def begun(self, image: ImageFile) -> None:
        """Ignore it."""

    def ended(self, image: ImageFile) -> None:
        """Ignore it."""

    def looked(self, image: ImageFile) -> None:
        """Ignore it."""


@contextlib.contextmanager
def watched(watch: Watch, image: ImageFile) -> Iterator[None]:
    """Tell of an image while the block runs."""
    watch.begun(image)
    try:
        yield
    finally:
        watch.ended(image)
