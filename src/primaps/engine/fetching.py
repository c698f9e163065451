"""Images of an object store or of tar files as photographs in the run folder: what is to be
reported and exported has to be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from primaps.data.scanning import Scan
from primaps.progress import Progress
from primaps.shards.copying import copy_images, is_copied
from primaps.shards.places import is_url
from primaps.shards.references import list_references
from primaps.types import ImageFile

PHOTOGRAPHS: Final = "photographs"
"""Folder in the run folder."""


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
    todo = [each for each in listing.references if not is_copied(each, root / each.name)]
    images = [ImageFile(root / each.name, each.name) for each in listing.references]
    failures = list(listing.failures)
    if todo:
        size = sum(reference.size for reference in todo)
        progress.note(f"Copies {len(todo)} images, {size / 1e6:.0f} MB, to {root}.")
        progress.start("copies", len(todo))
        try:
            failures += copy_images(todo, root, progress.advance)
        finally:
            progress.finish()
    failed = {failure.path for failure in failures}
    places = {reference.name: reference.place for reference in listing.references}
    kept = tuple(image for image in images if places[image.name] not in failed)
    return Scan(kept, tuple(failures), listing.passed_over)
