"""What takes longer than an answer: one job at a time, in a thread, with progress, to be stopped at
any time. Whatever a stopped job has made stays where the pipeline resumes from.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

from primaps.errors import PrimapsError
from primaps.progress import Progress, Stopped
from primaps.studio.answering import Refused, printable

_LOGGER: Final = logging.getLogger(__name__)

TOLD_EVERY: Final = 0.25
"""Seconds between two events of a job that only tell how far it is."""

REMEMBERED: Final = 20
"""Jobs that can be asked for."""

Result = TypeVar("Result")
Status = Literal["running", "done", "failed", "cancelled"]
Work = Callable[[Progress], dict[str, Any]]
"""What a job does; gives its result, JSON-ready."""


class Cancelled(Stopped):
    """Somebody stopped the job."""


@dataclass
class Job:
    """A job, as browsers are told it.

    Attributes:
        id: Another one for each.
        kind: As it was asked for.
        status: How it is going.
        stage: What it is at.
        done: Steps of the stage that are done.
        total: Steps of the stage.
        error: What went wrong, in words.
        result: Of a job that is done.
        notes: What the user should know.
    """

    id: str
    kind: str
    status: Status = "running"
    stage: str = ""
    done: int = 0
    total: int = 0
    error: str | None = None
    result: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**vars(self), "notes": list(self.notes)}


class Jobs:
    """All jobs of a studio.

    Args:
        tell: Is told of every change of a job.
    """

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._jobs: dict[str, Job] = {}
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._closed = False

    def begin(self, kind: str, work: Work) -> Job:
        """Start a job.

        Args:
            kind: Of the job.
            work: What it does.

        Raises:
            Refused: If another one is running.
        """
        with self._lock:
            self._refuse_running()
            if self._closed:
                raise Refused(503, "The studio is about to end. Start it again.")
            job = Job(str(next(self._numbers)), kind)
            self._jobs[job.id] = job
            for old in list(self._jobs)[:-REMEMBERED]:
                del self._jobs[old]
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._do, args=(job, work, self._stop), name=f"job {kind}", daemon=True
            )
            self._thread.start()
            return job

    def _refuse_running(self) -> None:
        running = self._running()
        if running is not None:
            raise Refused(
                409,
                f"Expected no other job, but {running.kind!r} is running. Wait for it to end, or"
                " stop it.",
                job=running.record(),
            )

    def _running(self) -> Job | None:
        return next((each for each in self._jobs.values() if each.status == "running"), None)

    def between(self, work: Callable[[], Result]) -> Result:
        """Do something short while no job is running, and none begins.

        Args:
            work: What to do.

        Raises:
            Refused: If a job is running.
        """
        with self._lock:
            self._refuse_running()
            return work()

    def find(self, name: str) -> Job:
        """A job by its id.

        Raises:
            Refused: If there is none.
        """
        with self._lock:
            job = self._jobs.get(name)
        if job is None:
            raise Refused(404, "Expected the id of a job of this studio, but there is none such.")
        return job

    def latest(self) -> Job | None:
        """The job that was started last."""
        with self._lock:
            return next(reversed(self._jobs.values()), None)

    def stop(self, name: str) -> Job:
        """Ask a job to stop; it does as soon as it has made a step.

        Raises:
            Refused: If there is none.
        """
        job = self.find(name)
        with self._lock:
            if self._running() is job:
                self._stop.set()
        return job

    def close(self, patience: float) -> bool:
        """Stop the running job, if any, and start no other.

        Args:
            patience: Seconds to wait for it to end.

        Returns:
            Whether none is running any more.
        """
        with self._lock:
            self._closed, thread = True, self._thread
            self._stop.set()
        if thread is None:
            return True
        thread.join(patience)
        return not thread.is_alive()

    def _do(self, job: Job, work: Work, stop: threading.Event) -> None:
        status: Status = "failed"
        try:
            job.result = work(_Told(job, self._tell, stop))
            status = "done"
        except Cancelled:
            status = "cancelled"
        except PrimapsError as error:
            job.error = printable(str(error))
        except Exception as error:
            _LOGGER.exception("The job %s failed", job.kind)
            job.error = printable(f"Something went wrong: {type(error).__name__}: {error}")
        finally:
            with self._lock:
                job.status = status
            self._tell(job.record())


class _Told:
    """Progress of a job: kept in it, told now and then, and the place where a job is stopped.

    Args:
        job: The job.
        tell: Is told of its changes.
        stop: Set when it is to stop.
    """

    def __init__(
        self, job: Job, tell: Callable[[dict[str, Any]], None], stop: threading.Event
    ) -> None:
        self._job, self._tell, self._stop = job, tell, stop
        self._told = 0.0
        self._changed(now=True)

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """See `primaps.progress.Progress.plan`; a browser is told one stage at a time."""

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """See `primaps.progress.Progress.start`."""
        self._job.stage, self._job.total, self._job.done = stage, total, done
        self._changed(now=True)

    def advance(self, steps: int = 1) -> None:
        """See `primaps.progress.Progress.advance`."""
        self._job.done += steps
        self._changed()

    def finish(self) -> None:
        """The present stage is over. Not a place to stop at: it is called while errors pass."""

    def note(self, message: str) -> None:
        """Something the user should know."""
        self._job.notes = (*self._job.notes, printable(message))
        self._changed(now=True)

    def _changed(self, *, now: bool = False) -> None:
        if self._stop.is_set():
            raise Cancelled
        if now or time.monotonic() - self._told > TOLD_EVERY:
            self._told = time.monotonic()
            self._tell(self._job.record())
