"""Says that loops are being compiled, which takes a while: once in a process, and only if it really
happens.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

MESSAGE: Final = "Compiling loops for this machine, once: about 15 s over the whole job."

_lock = threading.Lock()
_tell: Callable[[str], None] | None = None
_told = False


@contextlib.contextmanager
def compilation_told_to(note: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, the first function that is compiled rather than read from the cache is told
    in advance.

    Args:
        note: Given `MESSAGE`; called from any thread.
    """
    global _tell  # noqa: PLW0603 - worker threads compile, and know nothing of who is at work
    before, _tell = _tell, note
    try:
        yield
    finally:
        _tell = before


def compilation_begins() -> None:
    """A function is going to be compiled."""
    global _told  # noqa: PLW0603
    with _lock:
        if _told or _tell is None:
            return
        _told = True
    _tell(MESSAGE)


def compilation_was_told() -> bool:
    """Whether loops were compiled in this process, so that the time of its work says little about
    that of others.
    """
    return _told
