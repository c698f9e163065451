"""A folder on disk or in an object store: the same few operations on both.

Reading and writing in an object store is tried `ATTEMPTS` times before it counts as failed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from primaps.data.paths import printable
from primaps.data.patterns import has_wildcard
from primaps.errors import ConfigError, MissingExtraError, OutputError, PlaceError
from primaps.runs.store import atomic_write, atomic_write_parts, remove_file, write_problem

ATTEMPTS: Final = 4
"""How often a request to an object store is made before it counts as failed."""

WAITS: Final = (0.5, 1.0, 2.0)
"""Seconds between two attempts."""

TIMEOUT: Final = 60.0
"""Seconds that an object store may take for a request, and for every 30 MB of it."""

_PART: Final = 8 * 1024 * 1024
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+(::[A-Za-z0-9+.-]+)*)://(?P<rest>.*)", re.DOTALL
)
_FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_PACKAGES: Final = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "hf": "huggingface_hub",
}

_SHARED: Final[dict[tuple[int, str, str], Any]] = {}
"""File systems by process, scheme and configuration. fsspec makes one for every thread, each with
connections of its own and never let go of; those that are asynchronous inside serve all threads.
"""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Found:
    """A file in a listing.

    Attributes:
        path: Below the place that was listed, with forward slashes.
        size: In bytes.
        stamp: Differs where the content differs, as far as a listing tells.
    """

    path: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Place:
    """A folder, by `place_of`. Holds text alone, so that it travels between processes.

    Paths are relative to it, with forward slashes. Every method raises `PlaceError` if something
    cannot be read (its ``missing`` says whether it is not there), and `OutputError` if it cannot
    be written.

    Attributes:
        url: An absolute path, or a URL of fsspec without a slash at the end.
    """

    url: str

    @property
    def is_local(self) -> bool:
        """Whether this is a folder on disk."""
        return _URL.match(self.url) is None

    @property
    def folder(self) -> Path:
        """The folder on disk.

        Raises:
            ConfigError: If it is in an object store.
        """
        if not self.is_local:
            raise ConfigError(f"Expected a folder on disk, but got {self.url}.")
        return Path(self.url)

    def at(self, path: str) -> str:
        """Absolute path or URL of something in it."""
        inner = _checked(path)
        if self.is_local:
            return str(Path(self.url) / inner) if inner else self.url
        return f"{self.url}/{inner}" if inner else self.url

    def below(self, path: str) -> Place:
        """A folder in it."""
        return Place(self.at(path))

    def read(self, path: str) -> bytes:
        """The whole content of a file."""
        if self.is_local:
            with _reading(self.at(path)):
                return Path(self.at(path)).read_bytes()
        content: bytes = _requested(
            self.at(path), 30_000_000, lambda fs, at, limit: fs.cat_file(at, **limit)
        )
        return content

    def read_range(self, path: str, start: int, size: int) -> bytes:
        """A part of a file: ``size`` bytes from ``start`` on.

        Raises:
            PlaceError: Also if the file ends before.
        """
        if self.is_local:
            with _reading(self.at(path)), Path(self.at(path)).open("rb") as stream:
                stream.seek(start)
                content = stream.read(size)
        elif not size:
            return b""
        else:
            content = _requested(
                self.at(path),
                size,
                lambda fs, at, limit: fs.cat_file(at, start=start, end=start + size, **limit),
            )
        if len(content) != size:
            raise PlaceError(
                f"Expected {size} bytes from {start} on in {printable(self.at(path))}, but it ends"
                " before. It is damaged or was replaced."
            )
        return content

    def write(self, path: str, data: bytes) -> None:
        """Write a file: complete, or not at all."""
        if self.is_local:
            atomic_write(Path(self.at(path)), data)
            return
        with _writing(self.at(path)):
            _requested(
                self.at(path), len(data), lambda fs, at, limit: fs.pipe_file(at, data, **limit)
            )

    def publish(self, path: str, source: Path) -> None:
        """Write a file with the content of a local one, which stays: complete, or not at all."""
        if self.is_local:
            atomic_write_parts(Path(self.at(path)), _parts(source))
            return
        with _writing(self.at(path)):
            size = source.stat().st_size
            _requested(
                self.at(path), size, lambda fs, at, limit: fs.put_file(str(source), at, **limit)
            )

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to disk: complete, or not at all."""
        size = self.size(path)
        if size is None:
            raise _absent(self.at(path))

        def parts() -> Iterator[bytes]:
            for start in range(0, size, _PART):
                yield self.read_range(path, start, min(_PART, size - start))

        atomic_write_parts(target, parts())

    def size(self, path: str) -> int | None:
        """Bytes of a file; None if there is none."""
        if self.is_local:
            with _reading(self.at(path)):
                try:
                    status = Path(self.at(path)).stat()
                except (FileNotFoundError, NotADirectoryError):
                    return None
            return status.st_size if stat.S_ISREG(status.st_mode) else None
        found = _info(self.at(path))
        return None if found is None or found.get("type") != "file" else int(found["size"])

    def exists(self, path: str) -> bool:
        """Whether there is a file."""
        return self.size(path) is not None

    def names(self, path: str = "") -> list[str]:
        """Names of the files in a folder, sorted; none if there is no such folder."""
        if self.is_local:
            with _reading(self.at(path)):
                try:
                    with os.scandir(self.at(path)) as entries:
                        return sorted(
                            entry.name
                            for entry in entries
                            if entry.is_file() and not entry.name.startswith(".")
                        )
                except (FileNotFoundError, NotADirectoryError):
                    return []
        try:
            listed = _requested(
                self.at(path),
                None,
                lambda fs, at, limit: fs.ls(at, detail=True, **limit),
                fresh=True,
            )
        except PlaceError as error:
            if error.missing:
                return []
            raise
        names = (PurePosixPath(each["name"]).name for each in listed if each["type"] == "file")
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, path: str) -> None:
        """Delete a file if it is there."""
        if self.is_local:
            remove_file(Path(self.at(path)))
            return
        with _writing(self.at(path)):
            try:
                _requested(self.at(path), 0, lambda fs, at, limit: fs.rm_file(at, **limit))
            except PlaceError as error:
                if not error.missing:
                    raise


def listed(url: str) -> tuple[str, list[Found]]:
    """The files that a URL of an object store names: one file, those in a folder and below, or
    those that match a pattern.

    Args:
        url: As `Place.url` has it.

    Returns:
        URL of the folder that the paths are relative to, and the files in the order of their paths.

    Raises:
        PlaceError: If it cannot be listed.
    """
    root = url
    if has_wildcard(url):
        parts = url.split("/")
        first = next(index for index, part in enumerate(parts) if has_wildcard(part))
        root = "/".join(parts[:first])
        entries = _requested(
            url, None, lambda fs, at, limit: fs.glob(at, detail=True, **limit), fresh=True
        )
    else:
        found = _info(url)
        if found is None:
            return root, []
        if found.get("type") == "file":
            root = url.rpartition("/")[0]
            entries = {found["name"]: found}
        else:
            entries = _requested(
                url, None, lambda fs, at, limit: fs.find(at, detail=True, **limit), fresh=True
            )
    base = _stripped(root).rstrip("/")
    files = [
        Found(path.removeprefix(base).lstrip("/"), int(entry.get("size") or 0), stamp_of(entry))
        for path, entry in entries.items()
        if entry.get("type", "file") == "file"
    ]
    return root, sorted((each for each in files if each.path), key=lambda each: each.path)


def place_of(url: str | Path) -> Place:
    """The place that a path or URL names; it need not exist.

    Args:
        url: A path, or a URL that fsspec knows: ``s3://``, ``gs://``, ``hf://``, ``memory://``.
            ``file://`` is a path.

    Raises:
        ConfigError: If it is no usable URL, or holds a password.
    """
    text = str(url)
    match = None if isinstance(url, Path) else _URL.match(text)
    if match is None:
        return Place(os.path.abspath(text))  # noqa: PTH100  as the rest of the package names paths
    scheme, rest = match["scheme"].lower(), match["rest"]
    if "::" in scheme or "::" in rest:
        raise ConfigError(f"Expected a single URL, but got a chain of them: {printable(text)}.")
    if "@" in rest.split("/")[0] and ":" in rest.split("@")[0]:
        raise ConfigError(
            f"Expected a {scheme}:// URL without a password, since URLs are written to records, but"
            " got one. Give it in the environment or in the configuration of fsspec."
        )
    if scheme in {"file", "local"}:
        return Place(os.path.abspath(rest or "/"))  # noqa: PTH100
    return Place(f"{scheme}://{rest.rstrip('/')}")


def is_url(given: str | Path) -> bool:
    """Whether an input is a URL and no path."""
    return isinstance(given, str) and _URL.match(given) is not None


def stamp_of(entry: dict[str, Any]) -> str:
    """What tells one version of an object from another in its entry of a listing."""
    for key in ("ETag", "etag", "blob_id", "md5Hash", "sha256"):
        if entry.get(key):
            return str(entry[key]).strip('"')
    for key in ("LastModified", "last_modified", "updated", "mtime", "created"):
        if entry.get(key):
            return _moment(entry[key])
    return ""


def _moment(value: Any) -> str:
    """A time as some file systems tell it in two ways."""
    if isinstance(value, dt.datetime):
        value = value.timestamp()
    return str(round(value * 1e6) * 1000) if isinstance(value, int | float) else str(value)


def _checked(path: str) -> str:
    parts = PurePosixPath(path).parts
    if ".." in parts or path.startswith("/") or "\0" in path:
        raise ConfigError(f"Expected a path inside a folder, but got {printable(path)!r}.")
    return "/".join(parts)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while part := stream.read(_PART):
            yield part


def file_system(url: str) -> Any:
    """The file system of fsspec for a URL, with the settings of its own configuration.

    Raises:
        ConfigError: If its scheme is unknown.
        MissingExtraError: If the package for it is not installed.
    """
    import fsspec
    from fsspec.asyn import AsyncFileSystem

    scheme = url.split("://", maxsplit=1)[0]
    key = (os.getpid(), scheme, repr(fsspec.config.conf.get(scheme)))
    if key in _SHARED:
        return _SHARED[key]
    try:
        system = fsspec.filesystem(scheme)
    except ImportError as error:
        package = _PACKAGES.get(scheme, "")
        advice = "pip install 'primaps[remote]'" if package == "s3fs" else f"pip install {package}"
        raise MissingExtraError(
            f"{scheme}:// needs a package that is not installed: {error}."
            + (f" Install it with: {advice}" if package else "")
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"Expected a URL of a kind that fsspec knows, but got {printable(url)}: {error}."
        ) from error
    if isinstance(system, AsyncFileSystem):
        _SHARED[key] = system
    return system


def _stripped(url: str) -> str:
    return str(file_system(url)._strip_protocol(url))  # there is no public name


def _info(url: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = _requested(
            url, 0, lambda fs, at, limit: fs.info(at, **limit), fresh=True
        )
    except PlaceError as error:
        if error.missing:
            return None
        raise
    return found


def _requested(
    url: str,
    size: int | None,
    request: Callable[[Any, str, dict[str, float]], _Result],
    *,
    fresh: bool = False,
) -> _Result:
    """The answer of an object store; see `ATTEMPTS`.

    Args:
        url: What it is about.
        size: Bytes that travel; None = who knows: a listing of millions of files takes as long as
            it takes.
        request: Gets the file system, the URL, and the limit of time as a keyword where the file
            system takes one.
        fresh: Whether remembered listings are dropped first.
    """
    from fsspec.asyn import AsyncFileSystem

    system = file_system(url)
    limit = {}
    if size is not None and isinstance(system, AsyncFileSystem):
        limit["timeout"] = TIMEOUT * (1 + size / 30e6)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if fresh:
                system.invalidate_cache()
            return request(system, url, limit)
        except FileNotFoundError as error:
            raise _absent(url) from error
        except Exception as error:  # every file system has errors of its own
            if attempt == ATTEMPTS or isinstance(error, _FINAL):
                tried = "" if isinstance(error, _FINAL) else f" after {attempt} attempts"
                raise PlaceError(
                    f"Expected an answer about {printable(url)}, but got{tried}:"
                    f" {_told(error)}. Check the address, the network and your rights."
                ) from error
            time.sleep(WAITS[min(attempt, len(WAITS)) - 1])
    raise AssertionError("unreachable")


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _absent(url: str) -> PlaceError:
    return PlaceError(f"Expected a file {printable(url)}, but there is none.", missing=True)


@contextlib.contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise _absent(path) from error
    except (OSError, ValueError) as error:
        raise PlaceError(
            f"Expected {printable(path)} to be readable, but got: {error}. Check its rights."
        ) from error


@contextlib.contextmanager
def _writing(url: str) -> Iterator[None]:
    try:
        yield
    except PlaceError as error:
        told = "Its bucket is not there: make it, or check the address." if error.missing else error
        raise OutputError(f"Could not write {printable(url)}. {told}") from error
    except OSError as error:
        raise OutputError(write_problem(Path(url), error)) from error
