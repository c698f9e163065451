"""Routes that change names and corrections."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from primaps.naming.asking import checked_edit
from primaps.pipeline.candidates import CandidateFolder
from primaps.runs.run import RunFolder
from primaps.runs.store import hold, release
from primaps.studio.answering import as_json
from primaps.studio.asking import LARGEST, read_object, whole
from primaps.studio.job_kinds import candidate_number
from primaps.studio.jobs import Jobs
from primaps.studio.served import Done, Served


class EditingRoutes:
    """Routes that change names and corrections.

    Args:
        served: The folder.
        jobs: Its jobs.
    """

    def __init__(self, served: Served, jobs: Jobs) -> None:
        self._served, self._jobs = served, jobs

    async def edit(self, request: Request) -> Response:
        """POST /api/edit."""
        asked = await read_object(request)
        edit = checked_edit(asked.get("edit"))
        for name in _images(edit):
            self._served.name(name)
        return await self._made(partial(self._served.editing.apply, edit, _revision(asked)))

    async def undo(self, request: Request) -> Response:
        """POST /api/undo."""
        revision = _revision(await read_object(request))
        return await self._made(partial(self._served.editing.undo, revision))

    async def redo(self, request: Request) -> Response:
        """POST /api/redo."""
        revision = _revision(await read_object(request))
        return await self._made(partial(self._served.editing.redo, revision))

    async def reject(self, request: Request) -> Response:
        """POST /api/reject."""
        number = candidate_number((await read_object(request)).get("candidate"))

        def work() -> Done:
            self._jobs.between(lambda: remove_candidate(self._served.root, number))
            return self._served.state(), f"Candidate {number} is removed."

        return await self._made(work)

    async def _made(self, work: Callable[[], Done]) -> Response:
        state, sentence = await to_thread.run_sync(self._served.change, work)
        return as_json({"state": state, "made": sentence})


def remove_candidate(root: Path, number: int) -> None:
    """Delete a candidate with all its files.

    Args:
        root: The run folder.
        number: Of the candidate.

    Raises:
        ConfigError: If there is no such candidate, or it is accepted.
        OutputError: If it cannot be deleted, or another command is at work in the folder.
    """
    hold(root)
    try:
        CandidateFolder(root).remove(number, RunFolder(root).record.get("accepted") or ())
    finally:
        release(root)


def _revision(asked: Mapping[str, Any]) -> int:
    """The revision that a change was asked for on."""
    return whole(asked.get("revision"), "revision", 0, LARGEST)


def _images(edit: Mapping[str, Any]) -> set[str]:
    """Names of the images that an edit speaks of."""
    said = {name for name, _ in edit.get("proposals", ())}
    return said | ({edit["image"]} if "image" in edit else set())
