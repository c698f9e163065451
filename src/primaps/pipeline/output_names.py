"""Outputs are named after images: names that a file system cannot hold, or that clash there."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from primaps.types import Failure, ImageFile

LONGEST_NAME: Final = 255 - len(".safetensors")
"""Bytes of a file name, so that the names of its outputs fit the 255 bytes that file systems allow.
"""

_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
_FORBIDDEN: Final = re.compile(r'[<>:"|?*\\\x00-\x1f]|[ .]$')


def without_names_that_fail(
    images: Sequence[ImageFile], root: Path
) -> tuple[tuple[ImageFile, ...], list[Failure], list[str]]:
    """The images whose outputs can be written.

    Args:
        images: All, by name.
        root: Where outputs go; need not exist.

    Returns:
        The images, why the others are none of them, and what the user should know of those that
        other systems cannot hold.
    """
    failures, kept = list[Failure](), list[ImageFile]()
    ignores_case, windows = folder_ignores_case(root), on_windows()
    owners: dict[str, str] = {}
    clashing, foreign = list[str](), list[str]()
    for image in images:
        key = unicodedata.normalize("NFC", image.name).casefold()
        other = owners.setdefault(key, image.name)
        reason = _too_long(image)
        if reason is None and other != image.name and ignores_case:
            reason = (
                f"Expected a name that differs from {other} by more than case, since outputs named"
                " after both would overwrite each other here. Rename it."
            )
        if reason is None and windows and _is_reserved(image.name):
            reason = "Expected a name that Windows can hold, since outputs have it. Rename it."
        if reason is not None:
            failures.append(Failure(image.place, "scan", reason))
            continue
        kept.append(image)
        if other != image.name:
            clashing.append(f"{other} and {image.name}")
        elif not windows and _is_reserved(image.name):
            foreign.append(image.name)
    return tuple(kept), failures, _told(clashing, foreign)


def folder_ignores_case(root: Path) -> bool:
    """Whether a file system takes ``a`` and ``A`` for one file."""
    there = root.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    turned = there.with_name(there.name.swapcase()) if there.name else there
    try:
        return turned != there and turned.samefile(there)
    except OSError:
        return False


def on_windows() -> bool:
    """Whether this is Windows."""
    return os.name == "nt"


def _is_reserved(name: str) -> bool:
    return any(_RESERVED.fullmatch(part) or _FORBIDDEN.search(part) for part in name.split("/"))


def _too_long(image: ImageFile) -> str | None:
    length = len(os.fsencode(Path(image.name).name))
    if length <= LONGEST_NAME:
        return None
    return (
        f"Expected a file name of at most {LONGEST_NAME} bytes, since outputs are named after it,"
        f" but got {length}. Shorten it."
    )


def _told(clashing: Sequence[str], foreign: Sequence[str]) -> list[str]:
    told = list[str]()
    if clashing:
        told.append(
            f"Names that differ by case alone: {_some(clashing)}. Outputs of one overwrite those of"
            " the other where the run folder is copied to a disk of Windows or macOS."
        )
    if foreign:
        told.append(
            f"Names that Windows cannot hold, nor those of their outputs: {_some(foreign)}."
        )
    return told


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
