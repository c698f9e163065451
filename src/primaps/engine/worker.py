"""A worker process: ``python -m primaps.engine.worker``, started by `primaps.engine.supervisor`.

It reads lines of JSON, first the work and then a task at a time, and answers with lines of JSON:
which image it begins, which it has ended, what became of the task. It ends when its input does, at
once: whoever started it is gone then.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import Any, BinaryIO, Final

from primaps.engine.exporting import ExportWork, ExportWorker
from primaps.engine.limits import limit_memory
from primaps.engine.orders import Order, Task
from primaps.engine.slices import ShardWorker
from primaps.errors import PrimapsError
from primaps.types import ImageFile

ORPHANED: Final = 3
"""Exit status of a worker whose supervisor is gone."""


class _Channel:
    """Tells the supervisor; lines of several threads do not mix."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = (json.dumps(message) + "\n").encode("ascii")
        with self._lock:
            while data:  # not buffered: what was sent outlives this process
                data = data[os.write(self._descriptor, data) :]

    def begun(self, image: ImageFile) -> None:
        self.send({"begun": image.name})

    def ended(self, image: ImageFile) -> None:
        self.send({"ended": image.name})

    def looked(self, image: ImageFile) -> None:
        self.send({"looked": image.name})


def main() -> None:
    """Work until the input ends."""
    # what libraries print must not come between the messages
    channel = _Channel(os.dup(1))
    os.dup2(2, 1)
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    first = sys.stdin.buffer.readline()
    reader = threading.Thread(target=_read, args=(sys.stdin.buffer, lines), daemon=True)
    reader.start()
    try:
        start = json.loads(first)
        work = Order.from_json(start["order"]).opened()
        worker = ExportWorker(work) if isinstance(work, ExportWork) else ShardWorker(work, channel)
        if start["memory"] is not None:
            limit_memory(start["memory"])
        channel.send({"ready": True})
        while True:
            channel.send({"done": worker(Task.from_json(lines.get()))})
    except PrimapsError as error:
        channel.send({"error": type(error).__name__, "message": str(error)})
    except Exception:  # noqa: BLE001 - raised by the supervisor, with what is told here
        channel.send({"error": "", "message": traceback.format_exc()})


def _read(stream: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    os._exit(ORPHANED)  # whatever is in work: nobody waits for it


if __name__ == "__main__":
    main()
