"""The images of a shard as files: those on disk where they are, all others fetched."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from primaps.errors import OutputError, PlaceError
from primaps.runs.store import atomic_write, write_problem
from primaps.shards.places import is_url, place_of
from primaps.shards.references import Reference
from primaps.types import Failure, ImageFile

THREADS: Final = 8
"""Requests to an object store at the same time."""

LARGEST_READ: Final = 16 * 1024 * 1024
"""Bytes that neighbouring members of a tar file are read in together."""

_GAP: Final = 64 * 1024
_SUFFIX: Final = re.compile(r"\.[a-z0-9]{1,8}")
_LONGEST_TIME: Final = 2**60


@dataclass(frozen=True)
class Staged:
    """Images as files.

    Attributes:
        images: In the order of the references.
        failures: Those that could not be fetched (stage "fetch").
        places: Where an image came from by the path of its file, of those that were fetched:
            failures and warnings name this, not the file.
    """

    images: tuple[ImageFile, ...]
    failures: tuple[Failure, ...]
    places: Mapping[str, str]


def stage(references: Sequence[Reference], folder: Path, threads: int = THREADS) -> Staged:
    """Fetch images. Those that are in the folder from an earlier call are kept.

    Args:
        references: Of a shard.
        folder: Where files are written, under names of our own; made if there is something to
            write. The caller deletes it.
        threads: Most requests at the same time.

    Raises:
        OutputError: If files cannot be written.
    """
    paths = {
        index: folder / f"{index:06d}{_suffix(reference)}"
        for index, reference in enumerate(references)
        if reference.member is not None or is_url(reference.url)
    }
    failed: dict[int, str] = {}
    missing = [index for index in paths if not _is_there(references[index], paths[index])]
    batches = list(_batches(references, missing))
    with ThreadPoolExecutor(min(threads, len(batches)) or 1) as pool:
        for found in pool.map(lambda batch: _fetch(references, batch, paths), batches):
            failed |= found
    images = tuple(
        ImageFile(paths.get(index, Path(reference.url)), reference.name)
        for index, reference in enumerate(references)
        if index not in failed
    )
    failures = tuple(
        Failure(references[index].place, "fetch", failed[index]) for index in sorted(failed)
    )
    places = {str(path): references[index].place for index, path in paths.items()}
    return Staged(images, failures, places)


def time_of(stamp: str) -> int:
    """The time of the last change, in nanoseconds, that a fetched file gets: equal stamps give
    equal times, so that it counts as unchanged.
    """
    if stamp.isdigit() and len(stamp) <= 19:
        return int(stamp)
    return int.from_bytes(hashlib.sha256(stamp.encode()).digest()[:8], "big") % _LONGEST_TIME


def _is_there(reference: Reference, path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    known = (reference.size, time_of(reference.stamp))
    return (status.st_size, status.st_mtime_ns) == known


def _suffix(reference: Reference) -> str:
    """The extension, by which some formats are told apart, if it is a plain one."""
    name = reference.url if reference.member is None else reference.member
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def _batches(references: Sequence[Reference], indices: Sequence[int]) -> Iterator[list[int]]:
    """Indices that are read in one request: neighbours in a tar file, else one each."""
    members = sorted(
        (index for index in indices if references[index].member is not None),
        key=lambda index: (references[index].url, references[index].offset or 0),
    )
    batch: list[int] = []
    for index in members:
        if batch and not _together(references[batch[0]], references[batch[-1]], references[index]):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
    for index in indices:
        if references[index].member is None:
            yield [index]


def _together(first: Reference, last: Reference, added: Reference) -> bool:
    start, end, position = first.offset or 0, (last.offset or 0) + last.size, added.offset or 0
    return (
        first.url == added.url
        and position - end <= _GAP
        and position + added.size - start <= LARGEST_READ
    )


def _fetch(
    references: Sequence[Reference], batch: Sequence[int], paths: Mapping[int, Path]
) -> dict[int, str]:
    """Write the files of a batch; why that failed by index."""
    first = references[batch[0]]
    place = place_of(first.url)
    try:
        if first.member is None:
            size = place.size("")
            if size != first.size:
                return {batch[0]: _changed(first, size)}
            place.fetch("", paths[batch[0]])
        else:
            start = first.offset or 0
            end = max((references[i].offset or 0) + references[i].size for i in batch)
            content = place.read_range("", start, end - start)
            for index in batch:
                inner = (references[index].offset or 0) - start
                atomic_write(paths[index], content[inner : inner + references[index].size])
    except PlaceError as error:
        return dict.fromkeys(batch, str(error))
    for index in batch:
        moment = time_of(references[index].stamp)
        try:
            os.utime(paths[index], ns=(moment, moment))
        except OSError as error:
            raise OutputError(write_problem(paths[index], error)) from error
    return {}


def _changed(reference: Reference, size: int | None) -> str:
    if size is None:
        return "Expected a file, but it is not there any more. Put it back and run again."
    return (
        f"Expected a file of {reference.size} bytes, as it was when the images were listed, but it"
        f" has {size}. Choose another --out, and do not change images while a command is at work."
    )
