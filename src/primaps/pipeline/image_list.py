"""The list of the images of a folder: ``store/manifest.json`` of a run, ``images.json`` of
`predict`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from primaps.runs.records import (
    check_record,
    is_count,
    is_number,
    is_text,
    is_truth,
    list_of,
    maybe,
    values_of,
    with_keys,
)
from primaps.runs.store import read_json

_ENTRY: Final = with_keys(
    {
        "path": is_text,
        "page": maybe(is_count),
        "height": is_count,
        "width": is_count,
        "num_masks": is_count,
        "coverage": is_number,
        "guards": list_of(is_text),
    },
    ("path",),
)
_VIEW: Final = with_keys(
    {"flip": is_truth, "photometric": maybe(is_count)}, ("flip", "photometric")
)


def read_image_list(path: Path) -> dict[str, Any]:
    """The record in a list of images, its entries under "images" by name.

    Raises:
        CheckpointError: If it cannot be read, or an entry is none.
    """
    record = read_json(path)
    check_record(
        record,
        {"images": values_of(_ENTRY), "settings": is_text, "views": list_of(_VIEW)},
        path,
        "The list is damaged: run the command that made it again, on the same photographs.",
        ("images",),
    )
    return record


def stored_entries(path: Path) -> dict[str, dict[str, Any]]:
    """What the list of a store says of its images, by name, with the size and the proposals of
    each.

    Raises:
        CheckpointError: If it cannot be read, or an entry lacks something.
    """
    record = read_image_list(path)
    whole = with_keys({}, ("height", "width", "num_masks", "coverage", "guards"))
    check_record(
        record,
        {"images": values_of(whole)},
        path,
        "The list is damaged: segment the same photographs again with the same --out.",
        ("settings", "views"),
    )
    images: dict[str, dict[str, Any]] = record["images"]
    return images
