"""Pictures that were just made, within a bound of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from anyio import CapacityLimiter, to_thread

BYTES: Final = 64_000_000
"""Of all pictures that are kept."""

AT_ONCE: Final = 3
"""Photographs that are decoded at the same time; each may take a hundred megabytes."""

Made = tuple[bytes, dict[str, str]]
"""Content of an answer, and further headers."""


class Kept:
    """Pictures by what they were made from; the one that was used longest ago goes first.

    Args:
        limit: Bytes of all of them; larger pictures are not kept.
    """

    def __init__(self, limit: int = BYTES) -> None:
        self._limit, self._size = limit, 0
        self._lock = threading.Lock()
        self._found: OrderedDict[str, Made] = OrderedDict()
        self._decoding: CapacityLimiter | None = None

    async def get(self, tag: str, make: Callable[[], Made]) -> Made:
        """A picture, from memory or made in a thread.

        Args:
            tag: Of what it is made from.
            make: Makes it.
        """
        known = self._use(tag)
        if known is not None:
            return known
        if self._decoding is None:  # belongs to the event loop, which is not there before
            self._decoding = CapacityLimiter(AT_ONCE)
        made = await to_thread.run_sync(make, limiter=self._decoding)
        self._keep(tag, made)
        return made

    def _use(self, tag: str) -> Made | None:
        with self._lock:
            if tag in self._found:
                self._found.move_to_end(tag)
            return self._found.get(tag)

    def _keep(self, tag: str, made: Made) -> None:
        size = len(made[0])
        if size > self._limit // 8:
            return
        with self._lock:
            if tag not in self._found:
                self._size += size
            self._found[tag] = made
            while self._size > self._limit:
                self._size -= len(self._found.popitem(last=False)[1][0])
