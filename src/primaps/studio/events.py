"""What browsers are told as it happens (server-sent events): changes of others, and jobs."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import anyio
from anyio import to_thread

_LOGGER: Final = logging.getLogger(__name__)

WAITING: Final = 64
"""Events that a browser may be behind; of a slower one the oldest are dropped, for the newest tell
the same and more.
"""

SILENCE: Final = 10.0
"""Seconds without an event after which a line is sent, so that a browser that left is noticed."""

EVERY: Final = 1.0
"""Seconds between two looks at the files."""


class Events:
    """All browsers that listen. `tell` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[asyncio.Queue[bytes | None], asyncio.AbstractEventLoop] = {}
        self._closed = False

    def tell(self, kind: str, what: dict[str, Any]) -> None:
        """Send an event to everybody.

        Args:
            kind: Of the event.
            what: It says, JSON-ready.
        """
        text = json.dumps(what, ensure_ascii=True, allow_nan=False)
        self._send(f"event: {kind}\ndata: {text}\n\n".encode("ascii"))

    def close(self) -> None:
        """End all connections, and those to come."""
        self._closed = True
        self._send(None)

    def _send(self, message: bytes | None) -> None:
        with self._lock:
            for queue, loop in self._listeners.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_put, queue, message)

    async def listen(self) -> AsyncIterator[bytes]:
        """Events from now on."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING)
        with self._lock:
            self._listeners[queue] = asyncio.get_running_loop()
        try:
            yield b"retry: 1000\n\n"
            while not self._closed:
                try:
                    with anyio.fail_after(SILENCE):
                        message = await queue.get()
                except TimeoutError:
                    message = b": still here\n\n"
                if message is None:
                    return
                yield message
        finally:
            with self._lock:
                self._listeners.pop(queue, None)


def _put(queue: asyncio.Queue[bytes | None], message: bytes | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(message)


async def watch(look: Callable[[], object], changed: Callable[[], None]) -> None:
    """Look at files again and again; for ever, whatever is found in them.

    Args:
        look: Gives another value when files have changed.
        changed: Called then. Both are called in threads.
    """
    before = await to_thread.run_sync(look)
    while True:
        await anyio.sleep(EVERY)
        try:
            now = await to_thread.run_sync(look)
            if now != before:
                before = now
                await to_thread.run_sync(changed)
        except Exception:
            _LOGGER.exception("What was changed in the folder could not be read")
