"""Routes about jobs: begin one, ask how it is going, stop it, take away what it made."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from primaps.studio.answering import Refused, as_json, problem
from primaps.studio.asking import parameter, read_object
from primaps.studio.job_kinds import export_name, exports, files_of, job_of
from primaps.studio.jobs import Jobs
from primaps.studio.served import Served

_PIECE: Final = 1 << 20
_PACKED: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".parquet", ".avif", ".jp2", ".onnx"})
"""Endings of files that do not become smaller."""


class JobRoutes:
    """Routes about jobs.

    Args:
        served: The folder.
        jobs: Its jobs.
    """

    def __init__(self, served: Served, jobs: Jobs) -> None:
        self._served, self._jobs = served, jobs

    async def begin(self, request: Request) -> Response:
        """POST /api/jobs."""
        kind, work = job_of(self._served, await read_object(request))
        return as_json(self._jobs.begin(kind, work).record(), 202)

    async def latest(self, request: Request) -> Response:  # noqa: ARG002 - nothing to ask with
        """GET /api/jobs: the job that was started last, for a page that was just opened."""
        job = self._jobs.latest()
        return as_json({"job": None if job is None else job.record()})

    async def find(self, request: Request) -> Response:
        """GET /api/jobs/ID."""
        return as_json(self._jobs.find(request.path_params["job"]).record())

    async def stop(self, request: Request) -> Response:
        """DELETE /api/jobs/ID."""
        return as_json(self._jobs.stop(request.path_params["job"]).record(), 202)

    async def download(self, request: Request) -> Response:
        """GET /api/export?name=NAME: an export as one file."""
        name = export_name(parameter(request, "name"))
        folder = exports(self._served.root, name)
        found = await to_thread.run_sync(files_of, folder)
        if not found:
            return problem(
                404, f"Expected an export called {name}, but there is none. Export it first."
            )
        if any(each.is_symlink() for each in (folder.parent, folder, *found)):
            raise Refused(
                409,
                f"Expected an export with copies, but {name} has links, which lead elsewhere. Take"
                " the folder itself, or export with copies.",
            )
        headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
        pieces = zipped(folder, found)
        return StreamingResponse(pieces, 200, headers, "application/zip")


def zipped(folder: Path, files: list[Path]) -> Iterator[bytes]:
    """A zip of files, piece by piece; neither in memory nor on disk as a whole.

    Args:
        folder: Paths in the zip are below its name.
        files: Files in it.
    """
    pieces = _Pieces()
    # no `with`: left half-way, the file would be ended as if it were whole
    archive = zipfile.ZipFile(pieces, "w", allowZip64=True)
    for path in files:
        info = zipfile.ZipInfo.from_file(
            path, Path(folder.name, path.relative_to(folder)).as_posix(), strict_timestamps=False
        )
        packed = path.suffix.lower() in _PACKED
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        with path.open("rb") as stream, archive.open(info, "w") as entry:
            while piece := stream.read(_PIECE):
                entry.write(piece)
                yield from pieces.taken()
        yield from pieces.taken()
    archive.close()
    yield from pieces.taken()


class _Pieces:
    """What a zip writes, until it is taken; it cannot be read or wound back."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        """Keep it."""
        self._waiting.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Likewise."""

    def taken(self) -> Iterator[bytes]:
        """What came since the last time, as one piece."""
        if self._waiting:
            piece = b"".join(self._waiting)
            self._waiting.clear()
            yield piece
