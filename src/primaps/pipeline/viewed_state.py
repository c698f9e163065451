"""What changes in a folder when somebody names, merges or corrects, as the viewer is told it: the
`State` of ``outputs/viewer/web/types.js``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from primaps.errors import ImageError
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.named_labels import NamedLabels
from primaps.types import ClassTable


@dataclass(frozen=True)
class CorrectedImage:
    """What persons said of one image, and what it makes of its pixels.

    Attributes:
        classes: Class id by proposal; 255 = of no class.
        pixels: Pixels by class id, of all classes that have any; 255 = unlabelled.
        asleep: One sentence for each correction that means nothing at present.
    """

    classes: dict[int, int]
    pixels: dict[int, int]
    asleep: tuple[str, ...]


def state_of(folder: str | Path) -> dict[str, Any]:
    """The state of a folder as it lies there, JSON-ready: revision 0, nothing to undo or redo.

    Args:
        folder: Of a run, of `predict`, or of a candidate.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If the names or corrections have a mistake; the message names the line.
    """
    labels = NamedLabels(folder)
    found = {image: corrected_image(labels, image) for image in labels.corrected_images}
    accepted = labels.files.record.get("accepted") or ()
    return {
        "revision": 0,
        "classes": class_entries(labels.table),
        "corrections": {
            image: {str(proposal): class_id for proposal, class_id in sorted(each.classes.items())}
            for image, each in found.items()
            if each.classes
        },
        "pixels": {
            image: [[class_id, number] for class_id, number in sorted(each.pixels.items())]
            for image, each in found.items()
            if each.pixels
        },
        "asleep": [sentence for each in found.values() for sentence in each.asleep],
        "undo": None,
        "redo": None,
        "candidates": candidate_records(labels.files.root),
        "accepted": int(accepted[-1]) if accepted else None,
    }


def corrected_image(labels: NamedLabels, image: str) -> CorrectedImage:
    """What persons said of one image. Its pixels are empty where nothing is in force, and where its
    maps cannot be read, which whoever shows them says.

    Raises:
        ConfigError: If a correction names a proposal that does not exist; the message names the
            line.
    """
    binding = labels.binding(image)
    asleep = tuple(
        f"proposal {said.proposal} of {said.image}: {why}" for said, why in binding.asleep
    )
    pixels: dict[int, int] = {}
    if binding.classes:
        try:
            row = labels.corrected_pixels(image)
            pixels = {int(each): int(row[each]) for each in np.flatnonzero(row)}
        except ImageError:
            pixels = {}
    return CorrectedImage(binding.classes, pixels, asleep)


def class_entries(table: ClassTable) -> list[dict[str, Any]]:
    """The classes as `ClassEntry`, by ascending id."""
    return [
        {
            "id": each.id,
            "name": each.name,
            "colour": "#" + bytes(each.colour).hex(),
            "clusters": list(each.clusters),
            "ignore": each.ignore,
            "note": each.note,
        }
        for each in table.classes
    ]


def candidate_records(root: Path) -> list[dict[str, Any]]:
    """The candidates of a run as `CandidateRecord`, by ascending number.

    Raises:
        CheckpointError: If the record of one is damaged.
    """
    folders = CandidateFolder(root)
    return [
        {
            "number": each.number,
            "kind": each.kind,
            "classes": list(each.classes),
            "clicks": each.clicks,
        }
        for each in map(folders.read, folders.numbers())
    ]
