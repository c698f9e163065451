"""``--log-json``: what a command does, one JSON object a line, for programs that watch it.

Every line has ``time`` (ISO 8601, UTC), ``level`` (info, warning, error) and ``event``:

=============  ================================================================================
start          command, version, pid
resumed        folder: the job goes on from where a stopped or killed one was
stage_begin    stage, total, done (steps that an earlier run did)
progress       stage, done, total, seconds; every 15 seconds or so
stage_end      stage, done, total, seconds
image_failed   image (its path), stage, reason
image_warning  image (its name), notes: what was done to it
note           text
stopped        resumable: whether the same command goes on from here
error          text: why the command ends
end            exit_code, seconds
=============  ================================================================================
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TextIO

import typer

from primaps.errors import OutputError
from primaps.version import __version__

STANDARD_ERROR: Final = "-"

Level = Literal["info", "warning", "error"]

_REQUESTED: ContextVar[tuple[str, str] | None] = ContextVar("where a log goes, and of what command")
_PRESENT: Final[list[JsonLog]] = []


def request_log(ctx: typer.Context, where: str | None) -> str | None:
    """Have the next job log to a file; see `job_log`.

    Args:
        ctx: Of the command.
        where: The file; "-" = standard error; None = nowhere.
    """
    words = ctx.command_path.removeprefix(ctx.find_root().command_path).split()
    _REQUESTED.set(None if where is None else (where, " ".join(["primaps", *words])))
    return where


LogJson = Annotated[
    str | None,
    typer.Option(
        "--log-json",
        metavar="FILE|-",
        callback=request_log,
        help=(
            "Also log events to FILE, one JSON object a line, after what is there; -: to standard"
            " error, instead of words."
        ),
    ),
]


class JsonLog:
    """Writes events; what cannot be written is given up, once the user was told.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream: TextIO | None = stream
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def write(self, event: str, level: Level = "info", **fields: Any) -> None:
        """Write one event.

        Args:
            event: Its name.
            level: How much it matters.
            fields: What belongs to it, JSON-ready.
        """
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "level": level, "event": event, **fields})  # ASCII
        with self._lock:
            if self._stream is None:
                return
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._stream = None
                typer.echo(f"The log of --log-json ends here: {error}", err=True)

    def end(self, exit_code: int) -> None:
        """The command ends."""
        self.write(
            "end",
            "info" if exit_code == 0 else "warning" if exit_code in {3, 130} else "error",
            exit_code=exit_code,
            seconds=round(time.monotonic() - self._began, 3),
        )


def words_are_off() -> bool:
    """Whether standard error is for events, not for words."""
    requested = _REQUESTED.get(None)
    return requested is not None and requested[0] == STANDARD_ERROR


def present_log() -> JsonLog | None:
    """Of the job that is at work."""
    return _PRESENT[-1] if _PRESENT else None


@contextlib.contextmanager
def job_log() -> Iterator[JsonLog | None]:
    """While a job is at work: its log, if `request_log` asked for one; ``start`` and ``end`` are
    written.

    Raises:
        OutputError: If the file cannot be written.
    """
    requested = _REQUESTED.get(None)
    if requested is None:
        yield None
        return
    with _opened(requested[0]) as stream:
        log = JsonLog(stream)
        log.write("start", command=requested[1], version=__version__, pid=os.getpid())
        _PRESENT.append(log)
        code = 1
        try:
            yield log
            code = 0
        except typer.Exit as exited:
            code = exited.exit_code
            raise
        except SystemExit as exited:
            code = exited.code if isinstance(exited.code, int) else 1
            raise
        except Exception as error:
            log.write("error", "error", text=f"{type(error).__name__}: {error}")
            raise
        finally:
            _PRESENT.remove(log)
            _REQUESTED.set(None)
            log.end(code)


@contextlib.contextmanager
def _opened(where: str) -> Iterator[TextIO]:
    if where == STANDARD_ERROR:
        yield sys.stderr
        return
    path = Path(where).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a", encoding="ascii")
    except OSError as error:
        raise OutputError(
            f"Expected to be allowed to write the log {path}, but got: {error}. Give --log-json"
            " another file."
        ) from error
    with stream:
        yield stream
