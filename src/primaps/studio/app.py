"""The studio as an application: which address is answered by what."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import anyio
from anyio import to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route

from primaps.errors import PrimapsError
from primaps.pipeline.suggestion_rounds import PLAN
from primaps.studio.answering import Refused, answer_error
from primaps.studio.editing_routes import EditingRoutes
from primaps.studio.events import Events, watch
from primaps.studio.guarding import Door, Guard
from primaps.studio.job_routes import JobRoutes
from primaps.studio.jobs import Jobs
from primaps.studio.keeping import Kept
from primaps.studio.page import Page, static_files
from primaps.studio.reading import Reading
from primaps.studio.served import Served
from primaps.studio.trying import Trying

_LOGGER: Final = logging.getLogger(__name__)

_PAUSE: Final = 3.0
"""Seconds that the first page has the machine for itself."""

_EVENTS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


class Studio:
    """A folder, its jobs and its listeners, as one application.

    Args:
        folder: Run folder, or a folder of `predict`.
        door: What opens the studio.

    Raises:
        CheckpointError: If the folder holds no label maps.
        ConfigError: If names or corrections have a mistake; the message names the line.
        DatasetError: If no photograph is left.
    """

    def __init__(self, folder: Path, door: Door) -> None:
        self.events = Events()
        self.served = Served(folder, self.events.tell)
        self.jobs = Jobs(self._tell_job)
        answered = (Refused, PrimapsError, HTTPException, Exception)
        inner = Starlette(
            routes=self._routes(),
            exception_handlers=dict.fromkeys(answered, answer_error),
            lifespan=self._lifespan,
        )
        self.app = Guard(inner, door)

    def _tell_job(self, record: dict[str, Any]) -> None:
        self.events.tell("job", record)

    def _routes(self) -> list[BaseRoute]:
        reading = Reading(self.served, Kept())
        editing, trying = EditingRoutes(self.served, self.jobs), Trying(self.served)
        jobs = JobRoutes(self.served, self.jobs)
        return [
            Route("/", Page(self.served.root.name).show),
            Mount("/web", static_files()),
            Route("/api/run", reading.run),
            Route("/api/state", reading.state),
            Route("/api/photo", reading.photo),
            Route("/api/maps", reading.maps),
            Route("/api/certainty", reading.certainty),
            Route("/api/card", reading.card),
            Route("/api/suggestions", reading.suggestions),
            Route("/api/alike", reading.alike),
            Route("/api/candidate", reading.candidate),
            Route("/api/formats", reading.formats),
            Route("/api/backbones", reading.backbones),
            Route("/api/edit", editing.edit, methods=["POST"]),
            Route("/api/undo", editing.undo, methods=["POST"]),
            Route("/api/redo", editing.redo, methods=["POST"]),
            Route("/api/reject", editing.reject, methods=["POST"]),
            Route("/api/jobs", jobs.begin, methods=["POST"]),
            Route("/api/jobs", jobs.latest),
            Route("/api/jobs/{job}", jobs.find),
            Route("/api/jobs/{job}", jobs.stop, methods=["DELETE"]),
            Route("/api/export", jobs.download),
            Route("/api/try", trying.begin, methods=["POST"]),
            Route("/api/try/{tried}/photo", trying.photo),
            Route("/api/try/{tried}/maps", trying.maps),
            Route("/api/events", self._events),
        ]

    async def _events(self, request: Request) -> Response:  # noqa: ARG002 - nothing to ask with
        """GET /api/events."""
        return StreamingResponse(self.events.listen(), 200, _EVENTS, "text/event-stream")

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch, self.served.outside, self.served.refresh)
            tasks.start_soon(self._prepare)
            try:
                yield
            finally:
                self.events.close()
                tasks.cancel_scope.cancel()

    async def _prepare(self) -> None:
        """What takes longest is made before somebody asks for it, the first page's part first."""
        await _attempted(self.served.viewed.record)
        await anyio.sleep(_PAUSE)
        await _attempted(lambda: self.served.knowing().cards(0, PLAN.groups))


async def _attempted(work: Callable[[], object]) -> None:
    """Do something in a thread; if it fails, whoever asks for it is told why."""

    def attempt() -> None:
        try:
            with contextlib.suppress(PrimapsError, OSError):
                work()
        except Exception:
            _LOGGER.exception("The studio could not be prepared")

    await to_thread.run_sync(attempt, abandon_on_cancel=True)
