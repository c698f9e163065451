"""Files that a person has a hand in: ``classes.yaml`` and ``corrections.jsonl``, as text.

They are replaced in one step, under a lock, and never lost: every version of ``classes.yaml`` that
a command wrote or found lies in ``classes-history/``, as 0001.yaml, 0002.yaml, ...; those that
came with a model are named 0001-from-model.yaml.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.runs.store import atomic_write

LOCK_NAME: Final = ".primaps-names-lock"
PATIENCE: Final = 20.0
"""Seconds that a command waits for another one that is at the names."""

_COPIED: Final = "-from-model.yaml"
_HERE: Final[dict[str, threading.Lock]] = {}  # locks of the system do not part threads
_HERE_GUARD: Final = threading.Lock()


@dataclass(frozen=True)
class NamedFolder:
    """A folder that carries names: of a run, of `predict`, or of a model.

    Attributes:
        root: Where ``classes.yaml`` and ``corrections.jsonl`` lie.
    """

    root: Path

    @classmethod
    def find(cls, folder: Path) -> NamedFolder:
        """The folder that carries the names for a run folder, a folder of `predict`, or a model
        folder; the names of a model within a run are those of the run.

        Raises:
            CheckpointError: If it is none of these.
        """
        folder = Path(os.path.expanduser(folder)).absolute()  # noqa: PTH111 - of no user: as it is
        found = cls.of_model(folder)
        if not any((found.root / name).exists() for name in ("run.json", "model.json")):
            why = "has neither run.json nor model.json" if folder.exists() else "does not exist"
            raise CheckpointError(
                f"Expected {folder} to be the folder of a run, of `primaps predict` or of a model,"
                f" but it {why}. Give the folder that was --out."
            )
        return found

    @classmethod
    def of_model(cls, folder: Path) -> NamedFolder:
        """The folder that carries the names of a model, which need not be there yet."""
        folder = folder.absolute()
        within = folder.name == "model" and (folder.parent / "run.json").exists()
        return cls(folder.parent if within else folder)

    @property
    def classes(self) -> Path:
        """The names."""
        return self.root / "classes.yaml"

    @property
    def corrections(self) -> Path:
        """What was said of single proposals."""
        return self.root / "corrections.jsonl"

    @property
    def history(self) -> Path:
        """Former versions of the names, 0001.yaml and so on."""
        return self.root / "classes-history"

    @property
    def copies(self) -> tuple[Path, ...]:
        """Further places of the names: the model within a run, so that it can be copied alone."""
        inside = self.root / "model"
        return (inside / "classes.yaml",) if (inside / "model.json").exists() else ()

    def read_classes(self) -> str | None:
        """The text of the names; None if there is none.

        Raises:
            ConfigError: If it is no UTF-8.
            CheckpointError: If it cannot be read.
        """
        return _read(self.classes)

    def read_corrections(self) -> str:
        """The text of the corrections; empty if there is none.

        Raises:
            ConfigError: If it is no UTF-8.
            CheckpointError: If it cannot be read.
        """
        return _read(self.corrections) or ""

    def write_classes(self, text: str, *, copied: bool = False) -> None:
        """Replace the names; the former text and the new one are in the history first. Only under
        `lock`.

        Args:
            text: The new text.
            copied: It comes from another folder, see `unchanged_copy`.

        Raises:
            OutputError: If something cannot be written.
        """
        # as bytes: a former text that is no UTF-8 is kept as well
        former = self.classes.read_bytes() if self.classes.exists() else None
        new = text.encode("utf-8")
        if former is not None:
            self._remember(former, ".yaml")
        if former != new:
            self._remember(new, _COPIED if copied else ".yaml")
            self._replace(new)
        self.refresh_copies()

    def _replace(self, new: bytes) -> None:
        """Replace the names, their copies first: who is told that it failed finds them unchanged,
        and can say the same again.
        """
        try:
            for copy in self.copies:
                atomic_write(copy, new)
            atomic_write(self.classes, new)
        except OutputError:
            # where that fails too, the next command does it
            with contextlib.suppress(OutputError):
                self.refresh_copies()
            raise

    def unchanged_copy(self) -> bool:
        """Whether the names came from another folder, and nobody has changed them since."""
        newest = self._newest()
        return (
            newest is not None
            and newest.name.endswith(_COPIED)
            and self.classes.read_bytes() == newest.read_bytes()
        )

    def refresh_copies(self) -> None:
        """Bring further places of the names up to date. Only under `lock`.

        Raises:
            OutputError: If one cannot be written.
        """
        if self.classes.exists():
            present = self.classes.read_bytes()
            for copy in self.copies:
                if not copy.exists() or copy.read_bytes() != present:
                    atomic_write(copy, present)

    def append_corrections(self, lines: str) -> None:
        """Put lines at the end of the corrections, in one step. Only under `lock`.

        Raises:
            OutputError: If they cannot be written.
        """
        text = self.with_lines(self.read_corrections(), lines)
        atomic_write(self.corrections, text.encode("utf-8"))

    @staticmethod
    def with_lines(former: str, lines: str) -> str:
        """Corrections with further lines at their end."""
        unfinished = former and lines and not former.endswith("\n")
        return former + ("\n" if unfinished else "") + lines

    def remember_classes(self) -> int:
        """Put the present names into the history, if they are not the newest there. Only under
        `lock`.

        Returns:
            Their number in the history.

        Raises:
            OutputError: If they cannot be written.
        """
        self._remember(self.classes.read_bytes(), ".yaml")
        newest = self._newest()
        assert newest is not None  # it was just written, if there was none
        return _number(newest)

    def version(self, number: int) -> str | None:
        """The text of a version in the history; None if it is not there.

        Raises:
            ConfigError: If it is no UTF-8.
            CheckpointError: If it cannot be read.
        """
        found = [each for each in self.history.glob("[0-9]*.yaml") if _number(each) == number]
        return _read(found[0]) if found else None

    def _newest(self) -> Path | None:
        """The newest version in the history."""
        return max(self.history.glob("[0-9]*.yaml"), key=_number, default=None)

    def _remember(self, content: bytes, suffix: str) -> None:
        """Put a version into the history unless it is the newest there."""
        newest = self._newest()
        if newest is not None and newest.read_bytes() == content:
            return
        number = 1 if newest is None else _number(newest) + 1
        atomic_write(self.history / f"{number:04d}{suffix}", content)

    @contextlib.contextmanager
    def lock(self, patience: float = PATIENCE) -> Iterator[None]:
        """Keep other threads and processes from the names while they are read, changed and written.

        The lock is one of the operating system on a hidden file: a killed process leaves none. On
        Windows, and on network file systems without locks, only threads of this process are held
        off. It is not the lock of the run (`primaps.runs.store.hold`): classes can be named while a
        run is at work.

        Args:
            patience: Seconds to wait for another one.

        Raises:
            OutputError: If another one takes longer, or the folder cannot be written.
        """
        end = time.monotonic() + patience
        with _HERE_GUARD:
            here = _HERE.setdefault(os.path.realpath(self.root), threading.Lock())
        if not here.acquire(timeout=patience):
            raise self._busy()
        try:
            descriptor = self._system_lock(end)
            try:
                yield
            finally:
                if descriptor is not None:
                    os.close(descriptor)
        finally:
            here.release()

    def _system_lock(self, end: float) -> int | None:
        """File descriptor that holds the lock; None where there are no locks."""
        if sys.platform == "win32":
            return None
        import fcntl

        path = self.root / LOCK_NAME
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise OutputError(
                f"Expected to be allowed to write {self.root}, but got: {error}. Names are kept in"
                " this folder."
            ) from error
        while True:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EACCES, errno.EAGAIN}:
                    os.close(descriptor)
                    return None
                if time.monotonic() > end:
                    os.close(descriptor)
                    raise self._busy() from error
                time.sleep(0.02)
            else:
                return descriptor

    def _busy(self) -> OutputError:
        return OutputError(
            f"Expected to be the only one to change names in {self.root}, but another command has"
            " been at it for long. Wait for it to end, then run this command again."
        )


def _number(version: Path) -> int:
    """Of a file in the history; 0 for foreign ones."""
    digits = version.name.removesuffix(_COPIED).removesuffix(".yaml")
    return int(digits) if digits.isdecimal() else 0


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Expected {path} to be UTF-8, but got: {error}. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise CheckpointError(f"Expected {path} to be readable, but got: {error}.") from error
