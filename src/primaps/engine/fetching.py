"""Images of an object store or of tar files as photographs in the run folder: what is to be
reported and exported has to be there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from primaps.data.scanning import Scan
from primaps.errors import OutputError
from primaps.progress import Progress
from primaps.runs.store import write_problem
from primaps.shards.places import is_url
from primaps.shards.references import Reference, list_references
from primaps.shards.staging import stage, time_of
from primaps.types import Failure, ImageFile

PHOTOGRAPHS: Final = "photographs"
"""Folder in the run folder."""

_AT_A_TIME: Final = 64


def lie_elsewhere(inputs: Sequence[str]) -> bool:
    """Whether some of the inputs are no folders or files of images on disk."""
    return any(is_url(given) or given.lower().endswith(".tar") for given in inputs)


def fetched(inputs: Sequence[str], out: Path, progress: Progress) -> Scan:
    """Copy images to a run folder; those that are there are kept.

    Args:
        inputs: Folders, URLs, tar files.
        out: The run folder.
        progress: Who is told.

    Raises:
        DatasetError: If there is no image.
        OutputError: If something cannot be written.
    """
    listing = list_references(inputs, exclude=out)
    root = out / PHOTOGRAPHS
    todo = [each for each in listing.references if not _there(each, root / each.name)]
    images = [ImageFile(root / each.name, each.name) for each in listing.references]
    failures = list(listing.failures)
    if todo:
        size = sum(reference.size for reference in todo)
        progress.note(f"Copies {len(todo)} images, {size / 1e6:.0f} MB, to {root}.")
        failures += _copied(todo, root, progress)
    failed = {failure.path for failure in failures}
    places = {reference.name: reference.place for reference in listing.references}
    kept = tuple(image for image in images if places[image.name] not in failed)
    return Scan(kept, tuple(failures), listing.passed_over)


def _copied(references: Sequence[Reference], root: Path, progress: Progress) -> list[Failure]:
    failures: list[Failure] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        progress.start("copies", len(references))
        for start in range(0, len(references), _AT_A_TIME):
            part = references[start : start + _AT_A_TIME]
            with tempfile.TemporaryDirectory(dir=root, prefix=".") as folder:
                staged = stage(part, Path(folder))
                failures += staged.failures
                for image in staged.images:
                    target = root / image.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if image.path.is_relative_to(folder):
                        image.path.replace(target)
                    else:
                        shutil.copy2(image.path, target)
            progress.advance(len(part))
    except OSError as error:
        raise OutputError(write_problem(root, error)) from error
    finally:
        progress.finish()
    return failures


def _there(reference: Reference, path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (reference.size, time_of(reference.stamp))
