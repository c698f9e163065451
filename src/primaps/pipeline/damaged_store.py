"""Stored features that a disk or a transfer damaged, which are made anew before they are read."""

from __future__ import annotations

from collections.abc import Sequence

from primaps.pipeline.extraction import extract
from primaps.runs.run import Run
from primaps.runs.store import remove_file
from primaps.types import ImageFile

_NAMED = 5
"""Images that the note names."""


def make_damaged_anew(run: Run, images: Sequence[ImageFile], views: int | None = None) -> None:
    """Look at the checksums of what is stored of some images; what is damaged is noted, deleted and
    made again from the photographs.

    Args:
        run: The run; its folder is claimed.
        images: Those whose features are about to be read.
        views: As for `primaps.pipeline.extraction.extract`.

    Raises:
        DatasetError: If no image can be used any more.
        OutputError: If something cannot be written.
    """
    store = run.store
    damaged = [image.name for image in images if not store.is_sound(image.name)]
    if not damaged:
        return
    named = ", ".join(damaged[:_NAMED]) + (", ..." if len(damaged) > _NAMED else "")
    run.progress.note(
        f"Stored features of {len(damaged)} images were damaged (compared by checksum) and are made"
        f" anew: {named}."
    )
    for name in damaged:
        remove_file(store.path(name))
    extract(run, views)
