"""The images of a folder as the viewer lists them, from headers and lists; no pixel is read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.outputs.label_files import read_png_info, read_png_size
from primaps.pipeline.certainties import CertaintyBook, ImageCertainty, doubtful_images
from primaps.pipeline.class_overview import listed_images
from primaps.pipeline.image_list import stored_entries
from primaps.runs.run import RunFolder, read_warnings
from primaps.types import ImageFile

MAP_PIXELS: Final = 8_000_000
"""Pixels of the largest maps and photographs that are shown."""

_GUARDS: Final = {
    "anchor_among_used": "The search for regions met one that was taken already.",
    "anchor_without_tokens": "The search for regions met one that nothing else resembles.",
    "median_erased_all": "Smoothing erased every region, so the unsmoothed ones were kept.",
    "crf_erased_all": "The CRF erased every region, so those before it were kept.",
}


_USUAL: Final = ("orientation",)
"""What is done to ordinary photographs: told of the whole run (`viewed_facts`), not of each one."""


@dataclass(frozen=True)
class ViewedImage:
    """One image with a label map of the present model.

    Attributes:
        name: In the run.
        photo: Where the photograph lay when it was segmented; None = not on record.
        width: Of the photograph, upright, in pixels.
        height: Likewise.
        clusters: Pixels of the label map by cluster; 255 = ignored.
        proposals: Number of mask proposals; None = none were kept.
        coverage: Fraction of the pixels that a proposal covers; None likewise.
        certainty: Of its label map; None = not known.
        warnings: Sentences.
        checksum: SHA-256 of the photograph's file; None = an earlier version wrote none.
        page: Of a file of several; None = the photograph is the whole file.
    """

    name: str
    photo: Path | None
    width: int
    height: int
    clusters: Mapping[int, int]
    proposals: int | None = None
    coverage: float | None = None
    certainty: ImageCertainty | None = None
    warnings: tuple[str, ...] = ()
    checksum: str | None = None
    page: int | None = None


def viewed_images(
    files: RunFolder, source: RunFolder | None, model: str, failed: Collection[str]
) -> tuple[list[ViewedImage], int]:
    """The images whose label maps were made with a model, in the order of their names.

    Args:
        files: The folder with the label maps.
        source: The run that has stored features of these images; None = none has.
        model: Fingerprint of the model.
        failed: Paths of the inputs that could not be used.

    Returns:
        The images, and how many others have a label map of something else.

    Raises:
        CheckpointError: If a list of images is damaged.
        OutputError: If a file is there and may not be read.
    """
    stored = {} if source is None else stored_entries(source.manifest)
    book = CertaintyBook(files.certainties, model)
    notes = read_warnings(files if source is None else source)
    found, others = list[ViewedImage](), 0
    for image in listed_images(files):
        if image.place in failed:
            continue
        path = files.labels(image.name)
        header = read_png_info(path)
        if header.get("model") == model:
            size = read_png_size(path)
            viewed = _viewed(image, path, header, size, stored.get(image.name), book)
            told = [note.text for note in notes.get(image.name, ()) if note.kind not in _USUAL]
            found.append(dataclasses.replace(viewed, warnings=(*told, *viewed.warnings)))
        elif path.exists():
            others += 1
    return _with_doubts(found), others


def _viewed(
    image: ImageFile,
    labels: Path,
    header: Mapping[str, str],
    size: tuple[int, int],
    stored: Mapping[str, Any] | None,
    book: CertaintyBook,
) -> ViewedImage:
    width, height = size
    counts = json.loads(header.get("pixels", "{}"))
    warnings = [] if stored is None else [_GUARDS.get(each, each) for each in stored["guards"]]
    if width * height > MAP_PIXELS:
        warnings.append(
            f"Shown smaller than it is: {width} x {height} pixels are more than the viewer draws."
        )
    return ViewedImage(
        image.name,
        None if image.path == labels else image.path,
        width,
        height,
        {int(cluster): int(number) for cluster, number in counts.items()},
        None if stored is None else int(stored["num_masks"]),
        None if stored is None else float(stored["coverage"]),
        book.get(image.name),
        tuple(dict.fromkeys(warnings)),
        header.get("image"),
        image.page,
    )


def _with_doubts(images: list[ViewedImage]) -> list[ViewedImage]:
    """The images that fit no class say so."""
    means = {each.name: each.certainty.mean for each in images if each.certainty is not None}
    doubtful = dict(doubtful_images(means))
    return [
        dataclasses.replace(
            each,
            warnings=(
                *each.warnings,
                f"Fits the classes far worse than the others: certainty {doubtful[each.name]:.1%}.",
            ),
        )
        if each.name in doubtful
        else each
        for each in images
    ]


def image_columns(images: Sequence[ViewedImage], gone: Collection[str]) -> dict[str, Any]:
    """The `ImageColumns` of some images.

    Args:
        images: The images.
        gone: Names of those whose photographs are not there any more.
    """
    lost = "The photograph is not where it was when it was segmented."
    return {
        "name": [each.name for each in images],
        "width": [each.width for each in images],
        "height": [each.height for each in images],
        "proposals": [each.proposals for each in images],
        "coverage": [each.coverage for each in images],
        "certainty": [None if each.certainty is None else each.certainty.mean for each in images],
        "clusters": [[list(pair) for pair in sorted(each.clusters.items())] for each in images],
        "warnings": [
            [*each.warnings, lost] if each.name in gone else list(each.warnings) for each in images
        ],
    }
