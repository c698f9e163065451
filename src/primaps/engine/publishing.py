"""A folder on disk published to an object store: its files, then the list of them, complete.

The list says at any time what is there. A command that was killed on the way finds in it what has
arrived, and sends the rest; files that no longer belong are removed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.errors import CheckpointError, ConfigError, PlaceError
from primaps.progress import Progress
from primaps.runs.store import TEMPORARY_SUFFIX
from primaps.shards.places import Place, listed
from primaps.shards.staging import THREADS

LIST: Final = ".primaps-files.json"
"""What is there: checksums by relative path."""

_FORMAT: Final = "primaps-files-1"
_TOGETHER: Final = 500
"""Files after which it is noted what has arrived."""


@dataclass(frozen=True)
class Published:
    """What lies at a place.

    Attributes:
        kind: What it is: the format of an export.
        complete: Whether nothing is missing.
        files: Checksums by relative path; "" = not known whether it has arrived.
    """

    kind: str
    complete: bool
    files: Mapping[str, str]


def published(place: Place) -> Published | None:
    """What was published there; None if there is no list.

    Raises:
        CheckpointError: If the list is damaged.
        PlaceError: If the place cannot be reached.
    """
    try:
        value = json.loads(place.read(LIST))
        return _published(value)
    except PlaceError as error:
        if not error.missing:
            raise
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"Expected {place.at(LIST)} to list files ({_FORMAT}), but got: {error}. Choose another"
            " --out, or delete what is there."
        ) from error


def _published(value: Mapping[str, Any]) -> Published:
    """The list of JSON values; whatever error they cause is one of their content."""
    if value["format"] != _FORMAT:
        raise ValueError(f"its format is {value['format']!r:.60}")
    files = {str(path): str(digest) for path, digest in value["files"].items()}
    return Published(str(value["kind"]), value["complete"] is True, files)


def refuse_others(place: Place, kind: str) -> Published | None:
    """What was published there in this format; None at a new place.

    Raises:
        ConfigError: If the place holds something else.
        CheckpointError: If its list is damaged.
        PlaceError: If it cannot be reached.
    """
    known = published(place)
    if known is None:
        _, found = listed(place.url)
        if not found:
            return None
        what = "other files"
    elif known.kind == kind:
        return known
    else:
        what = f"an export in the format {known.kind}"
    raise ConfigError(
        f"Expected --out to be new, or an export in the format {kind}, but {place.url} holds"
        f" {what}. Choose another --out."
    )


def publish_folder(folder: Path, place: Place, kind: str, progress: Progress) -> None:
    """Make a place hold what a folder holds, and nothing else that was published there before.

    Args:
        folder: On disk. Locks and unfinished files are left out.
        place: In an object store.
        kind: What it is, for the list.
        progress: Who is told.

    Raises:
        ConfigError: If the place holds something else.
        OutputError: If something cannot be written.
        PlaceError: If the place cannot be reached.
    """
    known = refuse_others(place, kind)
    before = {} if known is None else dict(known.files)
    now = {path: _checksum(folder / path) for path in _files(folder)}
    arrived = {path: digest for path, digest in now.items() if before.get(path) == digest}
    todo = [path for path in now if path not in arrived]
    stale = sorted(set(before) - set(now))
    if known is not None and known.complete and not todo and not stale:
        return
    progress.start("files", len(now), done=len(arrived))
    with ThreadPoolExecutor(THREADS, "files") as pool:
        for start in range(0, len(todo), _TOGETHER):
            on_the_way = dict.fromkeys((*todo[start:], *stale), "")
            _write(place, Published(kind, False, arrived | on_the_way))
            part = todo[start : start + _TOGETHER]
            for path in pool.map(lambda path: _sent(place, folder, path), part):
                arrived[path] = now[path]
                progress.advance()
        for _ in pool.map(place.remove, stale):
            pass
    _write(place, Published(kind, True, now))
    progress.finish()


def _files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-lock", TEMPORARY_SUFFIX))
    )


def _checksum(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sent(place: Place, folder: Path, path: str) -> str:
    place.publish(path, folder / path)
    return path


def _write(place: Place, state: Published) -> None:
    value: dict[str, Any] = {
        "format": _FORMAT,
        "kind": state.kind,
        "complete": state.complete,
        "files": dict(sorted(state.files.items())),
    }
    place.write(LIST, (json.dumps(value, ensure_ascii=True) + "\n").encode("ascii"))
