"""A small page of a large report: some of the photographs, everything else as in the report."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from primaps.outputs.viewer.page import report_parts
from primaps.pipeline.overview import embedded_images, only_some
from primaps.pipeline.sampling import evenly
from primaps.pipeline.viewed_state import state_of
from primaps.pipeline.viewing import Viewed

IMAGE_BYTES: Final = 80_000
"""Of an image with its maps, as text: photographs of some 400 pixels."""


def report_excerpt(folder: Path, page_bytes: int) -> bytes:
    """The report of a folder as it lies there, with as many photographs as fit; nothing is written.

    Args:
        folder: Of a run, of `predict`, or of a candidate.
        page_bytes: That the page should have at most. One photograph is in it in any case.

    Returns:
        The page, in UTF-8. It says how many of the photographs it holds.

    Raises:
        CheckpointError: If the folder is none of these, or damaged.
        ConfigError: If the names or corrections have a mistake; the message names the line.
    """
    viewed, state = Viewed(folder), state_of(folder)
    total = len(viewed.images)
    bare = sum(map(len, report_parts(viewed.record_of(evenly(total, 1)), state, ())))
    number = min(total, max(1, (page_bytes - bare) // IMAGE_BYTES))
    rows = evenly(total, number)
    chosen = [viewed.images[row] for row in rows]
    made = list(embedded_images(viewed, chosen, IMAGE_BYTES * 3 // 4))
    damaged = [problem for _, problem in made if problem is not None]
    record = viewed.record_of(rows, damaged)
    if number < total:
        record["warnings"].append(only_some(number, total))
    return b"".join(report_parts(record, state, (image for image, _ in made)))
