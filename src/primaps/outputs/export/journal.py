"""What an export has done, image by image, so that a killed one goes on, and one that is made again
after some images or classes changed leaves nothing behind.

It lies in a hidden folder of the export: ``settings`` (the format, the files that belong to all
images, and what was left out), ``done`` (a line of JSON per image) and, only if any,
``failures.jsonl``.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from primaps.errors import ConfigError, OutputError
from primaps.outputs.export.documents import to_json
from primaps.outputs.export.exporter import Fragment
from primaps.runs.store import (
    EXPORT_RECORD,
    TEMPORARY_SUFFIX,
    atomic_write,
    hold,
    release,
    remove_file,
    remove_temporaries,
    write_problem,
)
from primaps.types import Failure

FOLDER: Final = EXPORT_RECORD
FAILURES: Final = f"{FOLDER}/failures.jsonl"
"""One line of JSON per input that could not be used; absent if there is none."""


@dataclass(frozen=True)
class Entry:
    """One image that is done.

    Attributes:
        name: Of the image.
        stamp: Fingerprint of all that determined what was written of it.
        split: ``train``, ``val`` or ``test``.
        height: In pixels, upright.
        width: Likewise.
        turned: The photograph lies turned in its file.
        files: Relative paths of the files that belong to the image.
        content: What the lists hold of it.
    """

    name: str
    stamp: str
    split: str
    height: int
    width: int
    turned: bool
    files: list[str]
    content: Fragment


@dataclass(frozen=True)
class Origin:
    """What label maps became on their way into an export, so that it can be read back.

    Attributes:
        classes: Ids of the classes by the names they have in it.
        min_area: Regions with fewer pixels were left out.
        unknown_below: Pixels with a lower certainty were left out; None = none.
        model: Fingerprint of the model whose clusters the classes own.
    """

    classes: Mapping[str, int] = field(default_factory=dict)
    min_area: int = 0
    unknown_below: float | None = None
    model: str | None = None


class Journal:
    """The record of one export.

    Entries stay on disk; in memory is where each one begins.

    Args:
        root: Folder of the export.
        format_name: Of the format.

    Raises:
        ConfigError: If the folder holds something else than an export in this format.
        OutputError: If it cannot be written, or another process is at work in it.
    """

    def __init__(self, root: Path, format_name: str) -> None:
        self._root, self._format = root, format_name
        self._folder = root / FOLDER
        self._settings = self._folder / "settings"
        self._done = self._folder / "done"
        self._places: dict[str, int] = {}
        self._lists: list[str] = []
        self._origin = Origin()
        self._stream: BinaryIO | None = None
        refuse_others(root, format_name)
        hold(self._folder)

    def open(self, stamps: Mapping[str, str], origin: Origin) -> None:
        """Keep what is up to date of an earlier export, remove the rest, and go on from there.

        Lists of all images are removed, for they have to be written anew.

        Args:
            stamps: Of all images that are to be exported, by their names.
            origin: What is exported.

        Raises:
            OutputError: If something cannot be written.
        """
        self._origin = origin
        remove_temporaries(self._root)
        remove_temporaries(self._folder)
        self.discard(_known(self._settings).get("lists", []))
        self._write_settings()
        renewed = self._done.with_suffix(TEMPORARY_SUFFIX)
        try:
            with renewed.open("wb") as stream:
                for entry in _entries(self._done):
                    if stamps.get(entry.name) == entry.stamp and _has(self._root, entry):
                        self._places[entry.name] = stream.tell()
                        stream.write(_line(entry))
                    else:
                        self.discard(entry.files)
            renewed.replace(self._done)
            self._stream = self._done.open("r+b")
        except OSError as error:
            raise OutputError(write_problem(self._done, error)) from error

    def close(self) -> None:
        """Let other processes work in the folder."""
        if self._stream is not None:
            # closing writes what `add` could not, and told
            with contextlib.suppress(OSError):
                self._stream.close()
        release(self._folder)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, entry: Entry) -> None:
        """Record that the files of an image are complete.

        Raises:
            OutputError: If it cannot be written.
        """
        stream = self._opened()
        try:
            self._places[entry.name] = stream.seek(0, io.SEEK_END)
            stream.write(_line(entry))
            stream.flush()
        except OSError as error:
            raise OutputError(write_problem(self._done, error)) from error

    def entry(self, name: str) -> Entry:
        """What was recorded of an image."""
        stream = self._opened()
        stream.seek(self._places[name])
        return Entry(**json.loads(stream.readline()))

    def note_list(self, relative: str) -> None:
        """Record that a file which belongs to all images is about to be written.

        Raises:
            OutputError: If it cannot be written.
        """
        self._lists.append(relative)
        self._write_settings()

    def discard(self, files: Sequence[str]) -> None:
        """Delete files, and the folders that are empty without them.

        Args:
            files: Relative paths.

        Raises:
            OutputError: If one may not be deleted.
        """
        for relative in files:
            remove_file(self._root / relative)
            for folder in Path(relative).parents[:-1]:
                try:
                    (self._root / folder).rmdir()
                except OSError:  # not empty, or not there
                    break

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Replace the list of inputs that could not be used; none, no list.

        Raises:
            OutputError: If it cannot be written.
        """
        path = self._root / FAILURES
        if failures:
            atomic_write(path, b"".join(to_json(asdict(each)) + b"\n" for each in failures))
        else:
            remove_file(path)

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            raise OutputError("Expected the journal to be open, but it is not. Call `open` first.")
        return self._stream

    def _write_settings(self) -> None:
        settings = {"format": self._format, "lists": self._lists, "origin": asdict(self._origin)}
        atomic_write(self._settings, to_json(settings))


@dataclass(frozen=True)
class Recorded:
    """An export as its journal tells it, to be read only.

    Attributes:
        format: Of the export.
        origin: What was exported.
        files: Name of the image by relative path of each file that belongs to one.
    """

    format: str
    origin: Origin
    files: Mapping[str, str]


def read_journal(root: Path) -> Recorded | None:
    """What is known of an export; None if the folder is none of ours.

    Args:
        root: Folder of the export.
    """
    known = _known(root / FOLDER / "settings")
    if "format" not in known:
        return None
    files = {
        relative: entry.name
        for entry in _entries(root / FOLDER / "done")
        for relative in entry.files
    }
    return Recorded(str(known["format"]), Origin(**known.get("origin", {})), files)


def refuse_others(root: Path, format_name: str) -> None:
    """Keep an export out of a folder that holds something else.

    Args:
        root: Folder of the export.
        format_name: Of the format.

    Raises:
        ConfigError: If it does.
        OutputError: If it cannot be looked into.
    """
    folder = root / FOLDER
    settings = folder / "settings"
    try:
        holds = sorted(root.iterdir()) if root.exists() else []
    except OSError as error:
        raise OutputError(write_problem(root, error)) from error
    # the hidden folder alone: a first try that ended before it could say what it is
    if not holds or (holds == [folder] and not settings.exists()):
        return
    known = _known(settings)
    if known.get("format") != format_name:
        what = f"an export in the format {known['format']}" if known else "other files"
        raise ConfigError(
            f"Expected --out to be a new folder, or an export in the format {format_name}, but"
            f" {root} holds {what}. Choose another --out."
        )


def kept_and_gone(root: Path, stamps: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """What an export would keep of an earlier one, and what it would remove; nothing is written.

    Args:
        root: Folder of the export.
        stamps: As for `Journal.open`.

    Returns:
        Names of images that are up to date, and of those that do not belong to it any more.
    """
    kept, there = set[str](), set[str]()
    for entry in _entries(root / FOLDER / "done"):
        there.add(entry.name)
        if stamps.get(entry.name) == entry.stamp and _has(root, entry):
            kept.add(entry.name)
    return kept, there - set(stamps)


def _has(root: Path, entry: Entry) -> bool:
    return all((root / relative).exists() for relative in entry.files)


def _known(settings: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(settings.read_bytes())
        return known if isinstance(known, dict) else {}
    return {}


def _entries(done: Path) -> Iterator[Entry]:
    """What an export recorded, up to where it was cut short."""
    if not done.exists():
        return
    with done.open("rb") as stream:
        for line in stream:
            try:
                entry = Entry(**json.loads(line))
            except (ValueError, TypeError):
                return
            yield entry


def _line(entry: Entry) -> bytes:
    return to_json(vars(entry)) + b"\n"
