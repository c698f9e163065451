"""What Pillow warns about while an image is read goes to the log, not to the application's warning
filters.
"""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import TextIO

import PIL
from PIL import Image

_LOGGER = logging.getLogger(__name__)
_PIL_FOLDER = str(Path(PIL.__file__).parent)


class PillowWarningsToLog:
    """Context manager; any number of threads may be inside the same instance at the same time.

    A damaged EXIF block is worth a line in the log but no reason to stop a run whose warnings are
    errors. `PIL.Image.DecompressionBombWarning` is left out: large photographs are normal here, and
    what is too large is decided by Pillow's error at twice that size.

    ``warnings.catch_warnings`` on its own is not safe with threads: leaving it in another order
    than entering it changes the filters for good. Here the first thread to enter installs it and
    the last one to leave takes it back, so the state after reading is the state before. Only
    warnings raised inside Pillow by a thread that is reading are redirected.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._local = threading.local()
        self._saved = warnings.catch_warnings()
        self._show_others = warnings.showwarning

    def reading(self, path: str) -> PillowWarningsToLog:
        """Name the file that this thread is about to read, for the log."""
        self._local.path = path
        return self

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                self._show_others = warnings.showwarning
                warnings.filterwarnings("always", module=r"PIL\.")
                warnings.showwarning = self._show
            self._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._local.path = None
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(kind, value, trace)

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        path = getattr(self._local, "path", None)
        if path is None or not filename.startswith(_PIL_FOLDER):
            self._show_others(message, category, filename, lineno, file, line)
        elif not issubclass(category, Image.DecompressionBombWarning):
            _LOGGER.warning("%s: %s", path, message)


PILLOW_WARNINGS = PillowWarningsToLog()
"""The instance that all readers of the package share."""
