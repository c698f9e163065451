"""Looks into image files in a process of its own (`primaps.engine.looking_worker`).

An image that ends the process, hangs or takes too much memory does not end the command: it counts
as one that cannot be read, and the worker that is given it finds out why.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import queue
import subprocess
import sys
import threading
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import InputConfig
from primaps.engine.limits import Limits
from primaps.errors import ImageError, ProcessError
from primaps.types import ImageFile

WORKER: Final = "primaps.engine.looking_worker"
"""Module that the process runs."""

_START: Final = 120.0
"""Seconds that the process may take to start."""


class LookApart:
    """See `primaps.data.looking.Look`. The process starts with the first question, and again
    after it ended.

    Args:
        limits: What one image may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()

    def pages(self, image: ImageFile) -> int:
        """Number of pages or frames of a file."""
        return int(self._asked("pages", image))

    def kind(self, image: ImageFile) -> str | None:
        """Of which kind its values are; None if they are 8-bit."""
        kind = self._asked("kind", image)
        return None if kind is None else str(kind)

    def values(self, image: ImageFile, kind: str, inputs: InputConfig) -> NDArray[Any] | None:
        """(n,) some values of an image; None if they turn out to be of another kind."""
        found = self._asked("values", image, kind=kind, inputs=dataclasses.asdict(inputs))
        if found is None:
            return None
        return np.frombuffer(base64.b64decode(found["content"]), np.dtype(found["dtype"]))

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()

    def _asked(self, what: str, image: ImageFile, **more: Any) -> Any:
        if self._process is None:
            self._start()
        about = {"path": str(image.path), "name": image.name, "page": image.page}
        self._send({"what": what, "image": about, **more})
        try:
            line = self._answers.get(timeout=self._limits.seconds)
        except queue.Empty:
            self.close()
            raise ImageError(f"Expected {image.path} to be looked into in time.") from None
        if line is None:
            self.close()
            raise ImageError(f"Expected {image.path} to be an image, but it ends the process.")
        answer = json.loads(line)
        if "refused" in answer:
            raise ImageError(answer["refused"])
        if "error" in answer:
            raise ProcessError(f"Looking into {image.path} ended with:\n{answer['error']}")
        return answer["found"]

    def _start(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the command, which ends this one
        )
        assert process.stdout is not None
        self._answers = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, self._answers), daemon=True).start()
        self._send({"memory": self._limits.memory})
        try:
            ready = self._answers.get(timeout=_START)
        except queue.Empty:
            ready = None
        if ready is None:
            self.close()
            raise ProcessError(
                "Expected the process that looks into images to start, but it did not. Try `python"
                f" -m {WORKER}`."
            )

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is dead, as its missing answer will tell
            self._process.stdin.write(json.dumps(message).encode("ascii") + b"\n")
            self._process.stdin.flush()


def _read(stream: IO[bytes], answers: queue.SimpleQueue[bytes | None]) -> None:
    try:
        for line in stream:
            if line.endswith(b"\n"):  # the last one may have been cut off
                answers.put(line)
    except ValueError:
        pass  # closed
    answers.put(None)
