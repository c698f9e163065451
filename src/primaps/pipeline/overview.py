"""The report of a run: which images it shows, their pictures, and when it was made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from primaps.compute.cores import one_thread_each, usable_cores
from primaps.errors import ImageError
from primaps.outputs.viewer.page import write_report
from primaps.outputs.viewer.pictures import (
    REPORT_SIDE,
    EmbeddedImage,
    Packed,
    fitted,
    missing_photo,
    packed_ids,
)
from primaps.pipeline.certainties import doubtful_images
from primaps.pipeline.parallel import LARGE_IMAGE, in_order
from primaps.pipeline.sampling import evenly
from primaps.pipeline.viewed_images import ViewedImage
from primaps.pipeline.viewed_state import state_of
from primaps.pipeline.viewing import LOOK, Pending, Viewed, path_of
from primaps.runs.run import Run
from primaps.runs.store import fingerprint
from primaps.types import IGNORE_INDEX, Failure, FitCurves, Image, ImageFile

MAX_IMAGES: Final = 1000
"""Images in a report; the studio shows all."""
PAGE_BYTES: Final = 96_000_000
"""Of all pictures and maps in a report, as text."""
IMAGE_BYTES: Final = 400_000
"""Of one image at most, as text, however few there are."""


def write_run_report(run: Run, inputs: Sequence[str], curves: FitCurves | None = None) -> None:
    """Write ``report.html`` for the label maps in the folder of a run or of `predict`.

    Images that cannot be shown are noted among the failures of the run.

    Args:
        run: The run.
        inputs: What the user gave as IMAGES.
        curves: What changed over the fit; None leaves it out.

    Raises:
        ConfigError: If the names or corrections have a mistake; the message names the line.
        OutputError: If it cannot be written.
    """
    viewed = Viewed(run.folder.root, _pending(run, inputs, curves))
    rows = shown_images(viewed.images)
    _date(run, viewed)
    images, damaged = list[EmbeddedImage](), list[Failure]()
    with run.stage(LOOK, len(rows)):
        shown = [viewed.images[row] for row in rows]
        for image, problem in embedded_images(viewed, shown, image_bytes(len(rows))):
            images.append(image)
            damaged += [] if problem is None else [problem]
            run.progress.advance()
        with one_thread_each():  # sums are the same on any number of cores
            record = viewed.record_of(rows, damaged)
    run.failures += damaged
    if viewed.stale:
        run.progress.note(
            f"Left out of the report: {viewed.stale} label maps, which do not say that this model"
            " made them. Segment or predict again to make them anew."
        )
    if len(rows) < len(viewed.images):
        record["warnings"].append(only_some(len(rows), len(viewed.images)))
    write_report(run.folder.report, record, state_of(run.folder.root), images)


def has_proposals(run: Run) -> bool:
    """Whether proposals of the images are known in the folder; not in one of `predict`."""
    return run.folder.manifest.exists()


def shown_images(images: Sequence[ViewedImage]) -> list[int]:
    """Numbers of the images in a report, ascending: all, or those that fit no class and others
    spread evenly.
    """
    if len(images) <= MAX_IMAGES:
        return list(range(len(images)))
    rows = {image.name: row for row, image in enumerate(images)}
    means = {each.name: each.certainty.mean for each in images if each.certainty is not None}
    first = [rows[name] for name, _ in doubtful_images(means)[: MAX_IMAGES // 4]]
    known = set(first)
    rest = [row for row in range(len(images)) if row not in known]
    return sorted(first + [rest[each] for each in evenly(len(rest), MAX_IMAGES - len(first))])


def image_bytes(number: int) -> int:
    """Bytes that each of so many images may take in a report, before they are made text."""
    return min(IMAGE_BYTES, PAGE_BYTES // max(1, number)) * 3 // 4


def embedded_images(
    viewed: Viewed, images: Sequence[ViewedImage], most: int
) -> Iterator[tuple[EmbeddedImage, Failure | None]]:
    """The images for the report, in order, and why a part of one could not be read.

    Args:
        viewed: The folder.
        images: Of it.
        most: Bytes of each.
    """
    known = {image.name: image for image in images}
    files = [ImageFile(image.photo or Path(), image.name) for image in images]
    workers = max(1, min(usable_cores(), len(files)))
    with (
        one_thread_each(),
        ThreadPoolExecutor(workers, "report") as pool,
        closing(
            in_order(
                pool,
                lambda file: _embedded(viewed, known[file.name], most),
                files,
                2 * workers,
                LARGE_IMAGE if workers > 1 else None,
            )
        ) as found,
    ):
        yield from found


def _embedded(
    viewed: Viewed, image: ViewedImage, most: int
) -> tuple[EmbeddedImage, Failure | None]:
    problems: list[str] = []

    def maps(side: int) -> Packed:
        try:
            return Packed(*viewed.maps(image.name, side))
        except ImageError as error:
            problems.append(str(error))
            return _no_maps(viewed)

    def certainty(side: int) -> Packed | None:
        try:
            found = viewed.certainty(image.name, side)
        except ImageError as error:
            problems.append(str(error))
            return None
        return None if found is None else Packed(*found)

    made = fitted(_photo(viewed, image, problems), maps, certainty, most)
    return made, Failure(path_of(image), LOOK, problems[0]) if problems else None


def _photo(viewed: Viewed, image: ViewedImage, problems: list[str]) -> Image:
    try:
        return viewed.pixels(image.name, REPORT_SIDE)
    except ImageError as error:
        problems.append(str(error))
        return missing_photo(image.width, image.height)


def _no_maps(viewed: Viewed) -> Packed:
    """Where maps cannot be read: one pixel of no class and no proposal."""
    blank = [np.full((1, 1), IGNORE_INDEX)]
    if viewed.has_proposals:
        blank.append(np.zeros((1, 1), dtype=np.int64))
    return Packed(1, 1, packed_ids(blank))


def _pending(run: Run, inputs: Sequence[str], curves: FitCurves | None) -> Pending:
    """What the command at work has not written yet."""
    record = run.folder.record
    given = [text.encode("utf-8", "backslashreplace").decode("utf-8") for text in inputs]
    return Pending(
        {
            **record,
            "inputs": given,
            "counts": {**record.get("counts", {}), **run.counts},
            "seconds": run.folder.added_seconds(run.seconds),
        },
        run.failures,
        curves,
    )


def _date(run: Run, viewed: Viewed) -> None:
    """Note since when the folder shows these images by this model: a command that finds everything
    done leaves the date, and with it the report, as it was.
    """
    of = fingerprint([viewed.model, [image.name for image in viewed.images]])
    record = run.folder.record
    if record.get("dated", {}).get("of") != of:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        at_work = record.get("status") == "running"
        date = now if at_work else record.get("finished", now)
        record["dated"] = {"of": of, "date": date}
    viewed.files.record["dated"] = record["dated"]


def only_some(shown: int, total: int) -> str:
    """Says that a page does not hold all photographs."""
    return (
        f"This page holds {shown} of {total} photographs, and its figures are of these. All of them"
        " are in the studio."
    )
