"""The folder that an export is written to."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from primaps.errors import OutputError
from primaps.runs.store import TEMPORARY_SUFFIX, atomic_write, write_problem

if TYPE_CHECKING:
    from primaps.outputs.export.exporter import ExportImage


class Target:
    """Writes files below one folder, each in one step, and remembers which.

    Args:
        root: The folder.
        link: Photographs become symbolic links to the originals.

    Attributes:
        announce: Is told the relative path of every file before it is written.
    """

    def __init__(self, root: Path, *, link: bool = False) -> None:
        self.root = root
        self.link = link
        self.announce: Callable[[str], None] = self._remember
        self._written: list[str] = []

    def _remember(self, relative: str) -> None:
        self._written.append(relative)

    def written(self) -> list[str]:
        """Relative paths of the files written since this was asked last."""
        written, self._written = self._written, []
        return written

    def write(self, relative: str, data: bytes) -> None:
        """Write a file.

        Raises:
            OutputError: If it cannot be written.
        """
        self.announce(relative)
        atomic_write(self.root / relative, data)

    def photograph(self, image: ExportImage, relative: str) -> None:
        """Copy or link a photograph; one that lies turned in its file is written upright.

        Raises:
            ImageError: If it cannot be read.
            OutputError: If it cannot be written.
        """
        if image.turned or not self.link:
            self.write(relative, image.photograph())
            return
        self.announce(relative)
        path = self.root / relative
        temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.symlink_to(image.path.absolute())
            temporary.replace(path)
        except OSError as error:
            raise OutputError(f"{write_problem(path, error)} Or use --copy.") from error

    @contextlib.contextmanager
    def stream(self, relative: str) -> Iterator[BinaryIO]:
        """Write a file piece by piece; it appears when it is complete.

        Raises:
            OutputError: If it cannot be written.
        """
        self.announce(relative)
        path = self.root / relative
        temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            raise OutputError(write_problem(path, error)) from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
