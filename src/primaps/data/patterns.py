"""Glob patterns with ``*``, ``?``, ``[...]`` and recursive ``**``, safe against loops of symbolic
links.

The standard library's ``glob`` follows links without a guard and so visits a loop until the system
stops it.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from primaps.errors import DatasetError

Listing = Callable[[Path], list[Path]]
"""Lists a folder, sorted; gives an empty list for one that must not or cannot be entered."""

_MAGIC = re.compile(r"[*?\[]")


def has_wildcard(path: str) -> bool:
    """Whether a path contains a wildcard character."""
    return _MAGIC.search(path) is not None


def split_pattern(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """Split a pattern into its root, the part before the first wildcard, and the remaining parts.
    A folder that is there under such a name, as ``photos [2023]``, is meant as it is.

    Raises:
        DatasetError: If ``..`` follows a wildcard.

    Examples:
        >>> split_pattern("photos/2024/*/*.jpg")[1]
        ('*', '*.jpg')
    """
    parts = Path(pattern).parts
    first = 0
    while first < len(parts) - 1 and (
        not has_wildcard(parts[first]) or Path(*parts[: first + 1]).is_dir()
    ):
        first += 1
    if ".." in parts[first:]:
        raise DatasetError(
            f"Expected a pattern without '..' after a wildcard, but got {pattern!r}. Give the"
            " folder directly."
        )
    return Path(*parts[:first]), parts[first:]


def expand(root: Path, parts: tuple[str, ...], listing: Listing) -> Iterator[Path]:
    """Files and folders that match; hidden ones only where the pattern's part starts with a dot.

    Args:
        root: Folder to start in.
        parts: Parts of the pattern below it; a last ``**`` matches the folder that it stands in.
        listing: How folders are listed.

    Yields:
        Matching paths, each starting with ``root``.
    """
    yield from _expand(root, parts, listing, set())


def _expand(
    folder: Path, parts: tuple[str, ...], listing: Listing, seen: set[tuple[str, int]]
) -> Iterator[Path]:
    state = (os.path.realpath(folder), len(parts))
    if state in seen:
        return
    seen.add(state)
    head, rest = parts[0], parts[1:]
    if head == "**":
        if not rest:
            yield folder
            return
        yield from _expand(folder, rest, listing, seen)
        for entry in sorted(listing(folder), key=lambda path: path.is_symlink()):
            if not entry.name.startswith(".") and entry.is_dir():
                yield from _expand(entry, parts, listing, seen)
        return
    for entry in listing(folder):
        if (entry.name != head and not fnmatch.fnmatch(entry.name, head)) or (
            entry.name.startswith(".") and not head.startswith(".")
        ):
            continue
        if not rest:
            yield entry
        elif entry.is_dir():
            yield from _expand(entry, rest, listing, seen)
