"""Photographs and what was made of them belong together by the checksum of the file: a changed one
is refused, a moved one is found again.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from primaps.data.scanning import scan
from primaps.errors import ConfigError, ImageError
from primaps.outputs.label_files import read_png_info
from primaps.pipeline.image_list import read_image_list
from primaps.progress import Progress
from primaps.runs.digest import read_digest
from primaps.runs.run import RunFolder
from primaps.runs.store import FeatureStore, hold, release, write_json
from primaps.types import ImageFile, View

_NAMED = 5
"""Images that a note names."""


def check_photograph(path: Path, found: str, recorded: str | None) -> None:
    """Refuse a photograph that is not the one that a label map was made of.

    Args:
        path: Where it lies.
        found: SHA-256 of the file.
        recorded: That in the header of the label map; None = an earlier version wrote none.

    Raises:
        ImageError: If they differ.
    """
    if recorded is not None and found != recorded:
        raise ImageError(
            f"Expected {path} to be the photograph that its label map was made of, but the content"
            " of the file is another one. Put the photograph back, name the folder where it lies"
            " now (`primaps report RUN --images DIR`), or segment or predict again."
        )


def file_checksum(path: Path) -> str:
    """Hexadecimal SHA-256 of a file.

    Raises:
        ImageError: If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(
            f"Expected a photograph at {path}, but got: {error}. If it was moved, name its"
            " folder: `primaps report RUN --images DIR`."
        ) from error


def find_again(root: Path, where: Path, progress: Progress) -> None:
    """Put on record where the photographs of a folder lie now.

    Args:
        root: Run folder, or one of `primaps predict`.
        where: Folder that they were moved to, with folders in it; names may have changed.
        progress: Who is told how many were found.

    Raises:
        ConfigError: If none is there and none at its place, or ``root`` has no list of images.
        DatasetError: If there is no image in ``where``.
        OutputError: If the list cannot be written.
    """
    folder = RunFolder(root)
    listing = folder.manifest
    if not listing.exists():
        listing = folder.images_file
    if not listing.exists():
        raise ConfigError(
            f"Expected {root} to be a run folder with a list of its images, but there is none."
        )
    hold(root)
    try:
        record = read_image_list(listing)
        entries: dict[str, dict[str, Any]] = record["images"]
        lost = dict(_lost(folder, record))
        found = _found(lost, scan([where], exclude=root).images)
        for name, path in found.items():
            entries[name]["path"] = str(path.absolute())
        if found:
            write_json(listing, record)
    finally:
        release(root)
    missing = sorted(lost.keys() - found.keys())
    if lost and not found and len(lost) == len(entries):
        raise ConfigError(
            f"Expected photographs of {root} in {where}, but of {len(lost)} that are not at their"
            " place none is there (compared by checksum). Name another folder."
        )
    named = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
    progress.note(
        f"Photographs found again in {where}: {len(found)} of {len(lost)}."
        + (f" Missing: {named}" if missing else "")
    )


def _lost(folder: RunFolder, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and checksum of the photographs that are not, or not unchanged, where they were."""
    store = None
    if "settings" in record:
        store = FeatureStore(
            folder.store,
            record["settings"],
            [View(**each) for each in record["views"]],
            read_digest(folder.digest),
        )
    for name, entry in record["images"].items():
        path = Path(os.fsdecode(entry["path"]))
        info = None if store is None else store.info(name)
        if store is not None and store.is_current(name, path):
            continue
        checksum = read_png_info(folder.labels(name)).get("image")
        if checksum is None and info is not None:
            checksum = info.sha256
        if checksum is not None and (not path.is_file() or file_checksum(path) != checksum):
            yield name, checksum


def _found(lost: Mapping[str, str], candidates: tuple[ImageFile, ...]) -> dict[str, Path]:
    """Where they lie, by name; files of the same name are looked at first."""
    by_name = defaultdict[str, list[ImageFile]](list)
    for image in candidates:
        by_name[Path(image.name).name].append(image)
    checksums: dict[Path, str] = {}

    def is_it(image: ImageFile, checksum: str) -> bool:
        if image.path not in checksums:
            checksums[image.path] = file_checksum(image.path)
        return checksums[image.path] == checksum

    found: dict[str, Path] = {}
    for name, checksum in lost.items():
        for image in by_name[Path(name).name]:
            if is_it(image, checksum):
                found[name] = image.path
                break
    if len(found) < len(lost):
        rest = {
            checksums.get(image.path) or file_checksum(image.path): image.path
            for image in candidates
        }
        for name, checksum in lost.items():
            if name not in found and checksum in rest:
                found[name] = rest[checksum]
    return found
