"""The files of a split that a list of names defines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from primaps.data.paired import Listing, Pair, files_below
from primaps.data.paths import printable
from primaps.types import Failure


def list_pairs(
    names: Sequence[str], images: Path, image_suffix: str, labels: Path, label_suffix: str
) -> Listing:
    """Find the image and the label file of every name of a list.

    Args:
        names: Names without folder and extension.
        images: Folder of the images.
        image_suffix: Extension of the images, with the dot.
        labels: Folder of the label files.
        label_suffix: Their extension, with the dot.

    Returns:
        The pairs in the order of the list, and every listed file that is not there.
    """
    there = {folder: set(files_below(folder)) for folder in {images, labels}}
    pairs, missing = [], []
    for name in names:
        files = ((images, f"{name}{image_suffix}"), (labels, f"{name}{label_suffix}"))
        absent = [folder / file for folder, file in files if file not in there[folder]]
        missing += [_not_there(path) for path in absent]
        if not absent:
            pairs.append(Pair(files[0][1], images / files[0][1], labels / files[1][1]))
    return Listing(tuple(pairs), tuple(missing))


def _not_there(path: Path) -> Failure:
    reason = (
        "Expected this file, which the list of the split names, but there is none. Unpack the"
        " archive again."
    )
    return Failure(printable(path), "layout", reason)
