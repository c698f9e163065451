"""Every operation that changes files below a folder is counted, and one of them is struck.

Python's own functions are replaced: `open`, and those of `os` that write, make, move or delete.
Files are written through a raw stream of our own, so that every write of a buffered stream counts,
and may write a part only, as a full disk does.
"""

from __future__ import annotations

import builtins
import errno
import io
import mmap
import os
import signal
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

TAKING_SPACE: Final = frozenset({"open", "mkdir", "symlink", "link", "write", "truncate", "fsync"})
"""Operations that a full disk refuses; ``fsync`` where blocks are given out late."""

_COUNTER: Final = struct.Struct("<Q")
_OF_PATHS: Final = ("mkdir", "unlink", "remove", "rmdir", "utime", "chmod", "truncate")
_OF_TWO_PATHS: Final = ("rename", "replace", "link", "symlink")
_OF_DESCRIPTORS: Final = ("fsync", "fdatasync", "ftruncate")
_NAMES: Final = {
    "remove": "unlink", "rename": "replace", "fdatasync": "fsync", "ftruncate": "truncate",
}  # fmt: skip
_OPEN: Final = builtins.open
_STAT: Final = os.stat


class Counter:
    """A number that outlives the process that counts: in memory shared with its parent."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _COUNTER.size)

    @property
    def value(self) -> int:
        """The number."""
        return int(_COUNTER.unpack_from(self._memory)[0])

    @value.setter
    def value(self, value: int) -> None:
        _COUNTER.pack_into(self._memory, 0, value)


@dataclass(frozen=True)
class Fault:
    """What becomes of an operation.

    Attributes:
        number: Of the operation, from 1.
        kind: ``kill``: the process gets SIGKILL before it; ``kill inside``: after half a write,
            or right after an operation of another kind; ``full``: the disk is full from here on;
            ``full inside``: likewise, after half a write; ``read-only``: from here on;
            ``broken``: this one operation gives an input/output error.
    """

    number: int
    kind: str

    def error(self, number: int, operation: str) -> int | None:
        """The error that an operation gives; None if it works."""
        if number < self.number:
            return None
        if self.kind in {"full", "full inside"}:
            return errno.ENOSPC if operation in TAKING_SPACE else None
        if self.kind == "read-only":
            return errno.EROFS
        return errno.EIO if self.kind == "broken" and number == self.number else None


KINDS: Final = ("full", "full inside", "read-only", "broken")
"""Of faults that a command can tell."""


@dataclass
class Operations:
    """Counts the operations below a folder in this process, from `install` on.

    Attributes:
        root: The folder, absolute.
        counter: Their number so far.
        fault: What is struck; None = nothing.
        told: Names of the operations with the names of their files, in order.
    """

    root: str
    counter: Counter
    fault: Fault | None = None
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._written: dict[int, str] = {}

    def install(self) -> None:
        """Replace the functions of this process; it ends with them."""
        for name in _OF_PATHS:
            setattr(os, name, self._of_path(getattr(os, name), _NAMES.get(name, name)))
        for name in _OF_TWO_PATHS:
            setattr(os, name, self._of_two_paths(getattr(os, name), _NAMES.get(name, name)))
        for name in _OF_DESCRIPTORS:
            setattr(os, name, self._of_descriptor(getattr(os, name), _NAMES.get(name, name)))
        os.open = self._descriptor_opener(os.open)
        io.open = self._open
        builtins.open = self._open

    def strike(self, operation: str, path: str, work: Callable[[], Any]) -> Any:
        """Count an operation and do it, unless it is struck."""
        with self._lock:
            self.counter.value += 1
            number = self.counter.value
            self.told.append(f"{operation} {Path(path).name}")
            if self.fault is None:
                return work()
            if (number, "kill") == (self.fault.number, self.fault.kind):
                os.kill(os.getpid(), signal.SIGKILL)
            code = self.fault.error(number, operation)
            if code is not None:
                raise OSError(code, os.strerror(code), path)
            done = work()
            if (number, "kill inside") == (self.fault.number, self.fault.kind):
                os.kill(os.getpid(), signal.SIGKILL)
            return done

    def write(self, path: str, data: memoryview, raw: Callable[[memoryview], int]) -> int:
        """A write of a raw stream; returns the number of bytes written."""
        half = data[: len(data) // 2]
        fault = self.fault
        if fault is not None and self.counter.value + 1 == fault.number and len(half):
            if fault.kind == "kill inside":
                return int(self.strike("write", path, lambda: raw(half)))
            if fault.kind == "full inside":  # the rest meets the full disk
                with self._lock:
                    self.counter.value += 1
                return raw(half)
        return int(self.strike("write", path, lambda: raw(data)))

    def inside(self, path: Any, folder: int | None = None) -> str | None:
        """A path as text if it lies below the folder."""
        if isinstance(path, int):
            return self._written.get(path)
        text = os.fsdecode(path)
        if folder is not None:
            text = str(Path(f"/proc/self/fd/{folder}").readlink() / text)
        text = os.path.abspath(text)  # noqa: PTH100 - links stay as they are
        return text if text == self.root or text.startswith(self.root + os.sep) else None

    def _of_path(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def replaced(path: Any, *rest: Any, **options: Any) -> Any:
            where = self.inside(path, options.get("dir_fd"))
            if where is None or (name == "mkdir" and _exists(where)):
                return real(path, *rest, **options)
            return self.strike(name, where, lambda: real(path, *rest, **options))

        return replaced

    def _of_two_paths(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def replaced(source: Any, target: Any, *rest: Any, **options: Any) -> Any:
            where = self.inside(target)
            if where is None:
                return real(source, target, *rest, **options)
            return self.strike(name, where, lambda: real(source, target, *rest, **options))

        return replaced

    def _of_descriptor(self, real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def replaced(descriptor: Any, *rest: Any) -> Any:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            where = self._written.get(number)
            if where is None:
                return real(descriptor, *rest)
            return self.strike(name, where, lambda: real(descriptor, *rest))

        return replaced

    def _descriptor_opener(self, real: Callable[..., int]) -> Callable[..., int]:
        def replaced(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            where = self.inside(path, options.get("dir_fd"))
            if where is None or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return real(path, flags, *rest, **options)
            return int(self.strike("open", where, lambda: real(path, flags, *rest, **options)))

        return replaced

    def _open(
        self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any
    ) -> Any:
        where = None if isinstance(file, int) else self.inside(file)
        if where is None or not set(mode) & set("wxa+"):
            return _OPEN(file, mode, buffering, *rest, **more)
        flat = "".join(letter for letter in mode if letter not in "bt")
        raw = self.strike("open", where, lambda: _Raw(self, where, flat))
        self._written[raw.fileno()] = where
        if buffering == 0:
            return raw
        kind = io.BufferedRandom if "+" in flat else io.BufferedWriter
        buffered = kind(raw)
        if "b" in mode:
            return buffered
        names = ("encoding", "errors", "newline")
        given = {**dict(zip(names, rest, strict=False)), **more}
        return io.TextIOWrapper(buffered, **{key: given[key] for key in names if key in given})


class _Raw(io.FileIO):
    """An unbuffered file whose writes are counted."""

    def __init__(self, operations: Operations, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._operations, self._path = operations, path

    def write(self, data: Any, /) -> int:
        """Write bytes; returns how many were."""
        view = memoryview(data).cast("B")
        return self._operations.write(self._path, view, super().write)

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            self._operations._written.pop(self.fileno(), None)
        super().close()


def _exists(path: str) -> bool:
    try:
        _STAT(path)
    except OSError:
        return False
    return True


def read_bytes(path: Path) -> bytes:
    """A file, uncounted."""
    with _OPEN(path, "rb") as stream:
        return bytes(stream.read())
