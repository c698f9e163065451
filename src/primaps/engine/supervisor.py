"""Has shards worked on by a worker process, starts another one when it dies, and finds the images
that end workers.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from primaps import errors
from primaps.engine.journal import Attempts, Death, attempts_path, read_attempts, write_attempts
from primaps.engine.limits import Limits
from primaps.engine.orders import Order, Task
from primaps.errors import PrimapsError, ProcessError
from primaps.shards.places import place_of

ONE_THREAD: Final = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
        *("NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
    ),
    "1",
)
"""Environment of a worker on the CPU: no core waits for another one."""

WORKER: Final = "primaps.engine.worker"
"""Module that a worker process runs."""

_TOLD: Final = 2000
"""Characters of what a worker printed that an error shows."""


class Supervisor:
    """A worker process that is replaced when it dies. All methods but `stop` are called by one
    thread.

    Args:
        order: What is to be done.
        limits: What one image may take.
        environment: Variables of the worker beside this process's own.
        advance: Called with 1 whenever an image is done.
    """

    def __init__(
        self,
        order: Order,
        limits: Limits,
        environment: Mapping[str, str],
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._order, self._limits, self._environment = order, limits, dict(environment)
        self._advance = advance
        self._place = place_of(order.place)
        self._process: _Process | None = None
        self._stopped = False
        self.deaths = 0

    def do(self, shard: int) -> dict[str, Any]:
        """Have a shard worked on, however many workers it takes.

        Returns:
            What the worker told of it.

        Raises:
            PrimapsError: If something concerns more than one image.
            ProcessError: If workers die with no image in work, or `stop` was called.
        """
        attempts = read_attempts(self._place, shard)
        while True:
            outcome = self._attempt(shard, attempts)
            if not isinstance(outcome, Death):
                self._place.remove(attempts_path(shard))
                return outcome
            self._refuse_when_stopped()  # it was ended on purpose
            self.deaths += 1
            attempts = attempts.after(outcome)
            write_attempts(self._place, shard, attempts)

    def stop(self) -> None:
        """End the worker at once; called by another thread."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the worker."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _refuse_when_stopped(self) -> None:
        if self._stopped:
            raise ProcessError("Expected to go on working, but the command was ended.")

    def _attempt(self, shard: int, attempts: Attempts) -> dict[str, Any] | Death:
        self._refuse_when_stopped()
        if self._process is None:
            self._process = _Process(self._order, self._limits, self._environment)
        task = Task(shard, tuple(sorted(attempts.suspects)), attempts.quarantined)
        outcome = self._process.work(task, self._limits.seconds, self._advance)
        if isinstance(outcome, Death):
            self.close()
        return outcome


@dataclass(frozen=True)
class _Ended:
    """No more messages will come."""


class _Process:
    """One worker process."""

    def __init__(self, order: Order, limits: Limits, environment: Mapping[str, str]) -> None:
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115 - until `close`
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(  # noqa: S603 - this program itself
            [sys.executable, "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,
            env={**os.environ, "PYTHONPATH": path, **environment},
            start_new_session=True,  # Ctrl-C is for the command, which ends its workers
        )
        self._messages: queue.SimpleQueue[dict[str, Any] | _Ended] = queue.SimpleQueue()
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True
        )
        self._reader.start()
        self._send(json.dumps({"order": order.as_json(), "memory": limits.memory}))

    def work(
        self, task: Task, seconds: float | None, advance: Callable[[int], None]
    ) -> dict[str, Any] | Death:
        """Have a task done, and listen until it is, or the process dies.

        Args:
            task: The task.
            seconds: Time that an image may take; None = any.
            advance: Called with 1 whenever an image is done.
        """
        self._printed.seek(0)  # shared with the worker, so it writes from there too
        self._printed.truncate()
        self._send(task.as_json())
        in_work: dict[str, None] = {}
        since = time.monotonic()
        while True:
            left = None if seconds is None or not in_work else since + seconds - time.monotonic()
            try:
                message = self._messages.get(timeout=None if left is None else max(0.0, left))
            except queue.Empty:
                self.kill()
                return Death(tuple(in_work), "too slow", _too_slow(seconds or 0.0))
            since = time.monotonic()
            if isinstance(message, _Ended):
                if self._process.wait() > 0 and not in_work:
                    raise self._error({"error": "", "message": ""})  # it would not heal
                return Death(tuple(in_work), self._how())
            if "begun" in message:
                in_work[message["begun"]] = None
            elif "ended" in message:
                in_work.pop(message["ended"], None)
                advance(1)
            elif "looked" in message:
                in_work.pop(message["looked"], None)
            elif "error" in message:
                raise self._error(message)
            elif "done" in message:
                done: dict[str, Any] = message["done"]
                return done

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def close(self) -> None:
        """End it, and wait for that."""
        self.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout, self._printed):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was not sent yet
                    stream.close()

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is dead, as its last messages will tell
            self._process.stdin.write(line.encode("ascii") + b"\n")
            self._process.stdin.flush()

    def _read(self, stream: IO[bytes]) -> None:
        for line in stream:
            if line.endswith(b"\n"):  # the last one may have been cut off
                self._messages.put(json.loads(line))
        self._messages.put(_Ended())

    def _how(self) -> str:
        status = self._process.wait()
        if status < 0:
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(-status).name}"
        return f"exit status {status}"

    def _error(self, message: Mapping[str, str]) -> PrimapsError:
        kind = getattr(errors, message["error"], None) if message["error"] else None
        if isinstance(kind, type) and issubclass(kind, PrimapsError):
            return kind(message["message"])
        self._printed.seek(0)
        printed = self._printed.read()[-_TOLD:].decode("utf-8", "replace")
        return ProcessError(f"A worker ended with an error:\n{message['message']}{printed}")


def _too_slow(seconds: float) -> str:
    return (
        f"Expected an image that takes at most {seconds:g} s, but it took longer. Allow more with"
        " --max-seconds, reduce --size or --max-pixels, or leave it out."
    )
