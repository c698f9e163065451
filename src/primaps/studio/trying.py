"""A photograph that is dropped in: read with limits, segmented, and kept in memory for a while. It
is never written into the run.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
from anyio import CapacityLimiter, to_thread
from PIL import UnidentifiedImageError
from starlette.requests import Request
from starlette.responses import Response

from primaps.data.decoding import decoding
from primaps.data.reading import stored_size
from primaps.errors import ImageError
from primaps.studio.answering import Refused, as_json, picture, printable
from primaps.studio.asking import parameter, read_body, shown
from primaps.studio.backbones import described_backbones
from primaps.studio.reading import DEFLATED, JPEG, with_size
from primaps.studio.segmenting import Segmenting, Shown
from primaps.studio.served import Served

BYTES: Final = 32_000_000
"""Of a file."""

PIXELS: Final = 64_000_000
"""Of a photograph: three bytes each while it is decoded."""

SECONDS: Final = 90.0
"""That decoding and segmenting may take."""

WAITING: Final = 20.0
"""Seconds that a photograph waits for the one before it."""

_PAUSE: Final = 0.05

KEPT: Final = 4
_KIND: Final = "application/octet-stream"


@dataclass(frozen=True)
class _Asked:
    """What is to be tried.

    Attributes:
        name: Of the file, to be spoken of; it never names one here.
        threshold: Of proposals; None = the run's.
        backbone: None = the run's.
    """

    name: str
    threshold: float | None
    backbone: str | None


class Trying:
    """Routes about photographs that are tried.

    Args:
        served: The folder.
    """

    def __init__(self, served: Served) -> None:
        self._served, self._segmenting = served, Segmenting(served)
        self._busy, self._guard = threading.Lock(), threading.Lock()
        self._numbers = itertools.count(1)
        self._tried: OrderedDict[str, Shown] = OrderedDict()

    async def begin(self, request: Request) -> Response:
        """POST /api/try: the body is the file."""
        asked = await to_thread.run_sync(self._asked, request)
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _KIND:
            raise Refused(415, f"Expected the content type {_KIND}, but got {shown(kind)}.")
        await self._turn()
        try:
            content = await read_body(request, BYTES, "a photograph")
        except BaseException:
            self._busy.release()
            raise
        try:
            with anyio.fail_after(SECONDS):
                # the thread goes on when nobody waits any more, and lets the next one in then
                number, tried = await to_thread.run_sync(
                    partial(self._done, asked, content),
                    abandon_on_cancel=True,
                    limiter=CapacityLimiter(1),  # never full: it begins, and so it ends its turn
                )
        except TimeoutError as error:
            raise Refused(
                408,
                f"Expected the photograph to be segmented within {SECONDS:.0f} seconds, but it"
                " takes longer. Make it smaller.",
            ) from error
        return as_json(
            {
                "id": number,
                "width": tried.width,
                "height": tried.height,
                "proposals": tried.proposals,
                "seconds": tried.seconds,
            }
        )

    async def _turn(self) -> None:
        """Wait for the photograph before this one: one at a time is decoded.

        Raises:
            Refused: If that takes long.
        """
        until = anyio.current_time() + WAITING
        while not self._busy.acquire(blocking=False):
            if anyio.current_time() > until:
                raise Refused(
                    409,
                    "Expected one photograph at a time, but another one is at work. Wait for"
                    " it, then try again.",
                )
            await anyio.sleep(_PAUSE)

    async def photo(self, request: Request) -> Response:
        """GET /api/try/ID/photo."""
        number, tried = self._find(request)
        return picture(tried.photo, f"try-{number}-photo", JPEG)

    async def maps(self, request: Request) -> Response:
        """GET /api/try/ID/maps."""
        number, tried = self._find(request)
        content, headers = with_size(tried.width, tried.height, tried.maps)
        return picture(content, f"try-{number}-maps", DEFLATED, headers)

    def _find(self, request: Request) -> tuple[str, Shown]:
        number = request.path_params["tried"]
        with self._guard:
            tried = self._tried.get(number)
        if tried is None:
            raise Refused(
                404, f"Expected one of the last {KEPT} photographs that were tried. Try it again."
            )
        return number, tried

    def _asked(self, request: Request) -> _Asked:
        name = printable(parameter(request, "name", "photograph"))
        short = "".join(each for each in name if each.isprintable())[-100:]
        return _Asked(short, _threshold(request), self._backbone(request))

    def _backbone(self, request: Request) -> str | None:
        name = parameter(request, "backbone", "")
        if not name:
            return None
        known = {each["name"]: each for each in described_backbones(self._served.root)}
        if name not in known:
            raise Refused(
                400, f"Expected a backbone, one of {', '.join(known)}, but got {shown(name)}."
            )
        if not known[name]["installed"]:
            raise Refused(
                400,
                f"Expected a backbone whose weights are on this machine, but those of {name} are"
                " not. Load it once on the command line: primaps segment --backbone ...",
            )
        return None if known[name]["current"] else name

    def _done(self, asked: _Asked, content: bytes) -> tuple[str, Shown]:
        """Segment it, in a thread."""
        try:
            descriptor, text = tempfile.mkstemp(prefix="primaps-try-")
            path = Path(text)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(content)
                tried = self._segmented(asked, path)
            finally:
                path.unlink(missing_ok=True)
            number = str(next(self._numbers))
            with self._guard:
                self._tried[number] = tried
                while len(self._tried) > KEPT:
                    self._tried.popitem(last=False)
            return number, tried
        finally:
            self._busy.release()

    def _segmented(self, asked: _Asked, path: Path) -> Shown:
        try:
            check_photograph(path, asked.name)
            return self._segmenting.shown(path, asked.threshold, asked.backbone)
        except ImageError as error:
            foreign = isinstance(error.__cause__, UnidentifiedImageError)
            sentence = printable(str(error)).replace(str(path), asked.name)
            raise Refused(415 if foreign else 400, sentence) from error


def check_photograph(path: Path, name: str) -> None:
    """Look at the header of a file before its pixels are decoded.

    Args:
        path: The file.
        name: It goes by.

    Raises:
        ImageError: If it is no image.
        Refused: If it has too many pixels.
    """
    with decoding(path) as stream:
        width, height = stored_size(stream, name)
    if width * height > PIXELS:
        raise Refused(
            413,
            f"Expected a photograph of at most {PIXELS / 1e6:.0f} megapixels, but {name} is {width}"
            f" x {height}. Make it smaller.",
        )


def _threshold(request: Request) -> float | None:
    text = parameter(request, "threshold", "")
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1.0:
        raise Refused(400, f"Expected a threshold above 0, at most 1, but got {shown(text)}.")
    return value
