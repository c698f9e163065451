"""From folders, files and glob patterns to a list of images, with everything that was not taken
accounted for.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from primaps.data.image_names import Namer, absolute
from primaps.data.paths import is_printable, printable
from primaps.data.patterns import expand, has_wildcard, split_pattern
from primaps.data.raw_files import HEIC_EXTENSIONS, OTHER_EXTENSIONS, RAW_EXTENSIONS
from primaps.errors import DatasetError
from primaps.runs.store import EXPORT_RECORD
from primaps.types import Failure, ImageFile

IMAGE_EXTENSIONS: Final = (
    *(
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".gif",
        ".avif",
    ),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpf", ".jpx"),
)
"""Extensions of the files that are taken from folders, lower case; upper case is taken too. So are
those of `primaps.data.raw_files`: what cannot be read of these is reported, not passed over.
"""


_TAKEN: Final = {*IMAGE_EXTENSIONS, *HEIC_EXTENSIONS, *RAW_EXTENSIONS, *OTHER_EXTENSIONS}

_LONGEST_RECORD: Final = 50_000_000
"""Bytes of a ``run.json`` that are read."""


@dataclass(frozen=True)
class Scan:
    """What inputs contain.

    Attributes:
        images: The images, sorted by name.
        failures: Inputs that cannot be used (stage "scan"), in the order in which they were met.
        passed_over: Number of other files in the inputs by lower-case extension ("" = none), sorted
            by extension.
        runs: Run folders of this package in the inputs, and what it exported there, which were not
            entered: what lies there are outputs.
    """

    images: tuple[ImageFile, ...]
    failures: tuple[Failure, ...]
    passed_over: Mapping[str, int]
    runs: tuple[Path, ...] = ()


def scan(inputs: Sequence[str | Path], exclude: Path | None = None) -> Scan:
    """Find images.

    Folders are scanned recursively: links are followed (each real folder once, so loops end),
    hidden files and folders are skipped, and files are chosen by `IMAGE_EXTENSIONS`. A file that is
    given by itself is taken whatever its extension. A path that does not exist and has wildcard
    characters is a glob pattern (``**`` is recursive). A real file that is found several times is
    taken once. Run folders and exports are not entered.

    Names are relative paths with forward slashes, the extension included. With one root (input
    folder, folder of a given file, part of a pattern before the first wildcard) they are relative
    to it; with several they start with the root's folder name, and with more of its parents where
    folder names are equal.

    Args:
        inputs: Files, folders or glob patterns.
        exclude: A folder that is not entered, normally the output folder.

    Raises:
        DatasetError: If there is no image at all, or an input folder is the excluded folder itself.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    scanner = _Scanner(None if exclude is None else os.path.realpath(exclude))
    for entry in given:
        scanner.add(str(entry))
    result = scanner.result()
    if not result.images:
        raise DatasetError(_nothing_found(given, result, exclude))
    return result


def is_image_name(path: Path) -> bool:
    """Whether a file's extension is that of an image."""
    return path.suffix.lower() in _TAKEN


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a ``run.json`` that this package wrote."""
    try:
        with (folder / "run.json").open("rb") as stream:
            record = json.loads(stream.read(_LONGEST_RECORD))
    except (OSError, ValueError):
        return False
    return (
        isinstance(record, dict)
        and "format" in record
        and isinstance(record.get("settings"), dict)
        and isinstance(record.get("versions"), dict)
        and "primaps" in record["versions"]
    )


def _is_export(folder: Path) -> bool:
    """Whether a folder is what `primaps export` wrote: copies of photographs, and masks."""
    return (folder / EXPORT_RECORD / "settings").is_file()


@dataclass(frozen=True)
class _Found:
    root: Path
    path: Path


class _Scanner:
    """State of one scan: inputs are collected first, so that the result does not depend on their
    order.
    """

    def __init__(self, exclude: str | None) -> None:
        self._exclude = exclude
        self._folders: list[Path] = []
        self._files: list[Path] = []
        self._patterns: list[str] = []
        self._failures: dict[Path, Failure] = {}
        self._passed_over: Counter[str] = Counter()
        self._found: dict[str, _Found] = {}
        self._visited: set[str] = set()
        self._links: deque[_Found] = deque()
        self._runs: dict[str, Path] = {}

    def add(self, given: str) -> None:
        """Sort one input into folders, files and patterns, or report it."""
        path = Path(given)
        if not given:
            self._fail(path, "Expected the path of a file or folder, but got an empty text.")
            return
        if not is_printable(given):
            self._fail(
                path,
                "Expected a path that is valid UTF-8, but its name has other bytes. Rename it.",
            )
            return
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            if has_wildcard(given):
                self._patterns.append(given)
            else:
                self._fail(path, _unusable(path, error))
            return
        if not stat.S_ISDIR(mode):
            self._files.append(path)
        elif self._is_excluded(path):
            raise DatasetError(_same_folder(given))
        else:
            self._folders.append(path)

    def result(self) -> Scan:
        """Go through the collected inputs; links last, so that a file is named by its real place if
        that is scanned too.
        """
        roots = {absolute(path) for path in self._folders} | {
            absolute(path.parent) for path in self._files
        }
        for folder in sorted(self._folders, key=absolute):
            self._walk(folder, folder)
        for pattern in sorted(self._patterns):
            roots |= self._expand(pattern)
        for path in sorted(self._files, key=absolute):
            self._take(path.parent, path)
        while self._links:
            link = self._links.popleft()
            self._visit(link.root, link.path)
        namer = Namer(roots, [absolute(path) for path in self._folders])
        absolutes = {
            root: absolute(root) for root in {found.root for found in self._found.values()}
        }
        images = [
            ImageFile(found.path, _name(namer, absolutes[found.root], found))
            for found in self._found.values()
        ]
        return Scan(
            images=tuple(sorted(images, key=lambda image: image.name)),
            failures=tuple(self._failures.values()),
            passed_over=MappingProxyType(dict(sorted(self._passed_over.items()))),
            runs=tuple(sorted(self._runs.values())),
        )

    def _expand(self, pattern: str) -> set[Path]:
        """Visit what a pattern matches and return its root."""
        root, parts = split_pattern(pattern)
        if self._is_excluded(root):
            raise DatasetError(_same_folder(pattern))
        matches = list(expand(root, parts, self._listing)) if root.is_dir() else []
        if not matches:
            self._fail(
                Path(pattern),
                "Expected a pattern that matches files, but it matches nothing. Check the path and"
                " the quotes.",
            )
            return set()
        for match in matches:
            self._visit_or_defer(root, match)
        return {absolute(root)}

    def _walk(self, root: Path, folder: Path) -> None:
        stack = [folder]
        while stack:
            current = stack.pop()
            real = os.path.realpath(current)
            if real in self._visited:
                continue
            self._visited.add(real)
            entries = (entry for entry in self._listing(current) if not entry.name.startswith("."))
            stack.extend(
                entry for entry in entries if self._visit_or_defer(root, entry, descend=False)
            )

    def _listing(self, folder: Path) -> list[Path]:
        """Sorted content of a folder; nothing, and a failure, if it cannot be read; nothing for the
        excluded one, run folders and exports.
        """
        if self._is_excluded(folder):
            return []
        if is_run_folder(folder) or _is_export(folder):
            self._runs.setdefault(os.path.realpath(folder), folder)
            return []
        try:
            return sorted(folder.iterdir())
        except OSError as error:
            self._fail(
                folder,
                f"Expected a readable folder, but got: {error.strerror}. Change its rights or leave"
                " it out.",
            )
            return []

    def _visit_or_defer(self, root: Path, path: Path, *, descend: bool = True) -> bool:
        if path.is_symlink():
            self._links.append(_Found(root, path))
            return False
        return self._visit(root, path, descend=descend)

    def _visit(self, root: Path, path: Path, *, descend: bool = True) -> bool:
        """Take, report or pass over one entry of a folder; True if it is a folder that is left to
        the caller to enter.
        """
        if not is_printable(path.name):
            self._fail(
                path,
                "Expected a name that is valid UTF-8, but it has other bytes. Rename it; it was not"
                " entered or read.",
            )
            return False
        try:
            mode = path.stat().st_mode
        except OSError as error:
            # A broken link without extension may have stood for a whole folder.
            if is_image_name(path) or not path.suffix:
                self._fail(path, _unusable(path, error))
            else:
                self._passed_over[path.suffix.lower()] += 1
            return False
        if stat.S_ISDIR(mode):
            return self._enter(root, path, descend=descend)
        if not is_image_name(path):
            self._passed_over[path.suffix.lower()] += 1
        elif stat.S_ISREG(mode):
            self._take(root, path)
        else:
            self._fail(
                path, "Expected an image file, but this is a pipe, socket or device. Remove it."
            )
        return False

    def _enter(self, root: Path, path: Path, *, descend: bool) -> bool:
        if is_image_name(path) and os.path.realpath(path) not in self._visited:
            self._fail(
                path,
                "Expected an image file, but this is a folder with an image's name. Its content was"
                " scanned; rename it.",
            )
        if descend:
            self._walk(root, path)
        return not descend

    def _take(self, root: Path, path: Path) -> None:
        self._found.setdefault(os.path.realpath(path), _Found(root, path))

    def _is_excluded(self, folder: Path) -> bool:
        return self._exclude is not None and os.path.realpath(folder) == self._exclude

    def _fail(self, path: Path, reason: str) -> None:
        """Report a path once, in whatever ways it was given."""
        self._failures.setdefault(
            absolute(path), Failure(path=printable(path), stage="scan", reason=reason)
        )


def _name(namer: Namer, root: Path, found: _Found) -> str:
    return namer.name(root, root / found.path.relative_to(found.root))


def _unusable(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return (
            f"Expected a file or folder, but this is a link to {printable(path.readlink())}, which"
            " does not exist. Remove it."
        )
    if isinstance(error, FileNotFoundError):
        return (
            "Expected a file, a folder or a pattern, but there is nothing at this path. Check the"
            " path."
        )
    return f"Expected a usable path, but got: {error}. Check the path and its rights."


def _same_folder(given: str) -> str:
    return (
        f"Expected an output folder other than the input {given}, but they are the same. Choose"
        " another output folder."
    )


def _what(folder: Path) -> str:
    return "an export" if _is_export(folder) else "a run folder"


def _nothing_found(given: Sequence[str | Path], result: Scan, exclude: Path | None) -> str:
    where = ", ".join(printable(entry) for entry in given) or "no input at all"
    lines = [f"Expected images ({' '.join(IMAGE_EXTENSIONS)}) in {where}, but found none."]
    if result.passed_over:
        counts = ", ".join(
            f"{count} {printable(suffix) or 'without extension'}"
            for suffix, count in result.passed_over.items()
        )
        lines.append(f"Other files there: {counts}.")
    elif not result.failures and not result.runs:
        lines.append("There are no files there (hidden ones are skipped).")
    lines += [
        f"{printable(run)} is {_what(run)}, whose outputs are no photographs. Give the photographs"
        " that it was made from, or a folder in it if you mean that."
        for run in result.runs
    ]
    if exclude is not None:
        lines.append(f"The output folder {printable(exclude)} was not searched.")
    lines += [f"{failure.path}: {failure.reason}" for failure in result.failures]
    return "\n".join(lines)
