"""The curated lists of COCO-Stuff, made from its label images by the published rule.

An image belongs to the list if both its sides have at least 360 pixels and at least 75 % of its
pixels carry a class of stuff (Ji et al., Invariant Information Clustering, ICCV 2019; this is the
list that PiCIE, STEGO and PriMaPs measure on).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.data.about import Split
from primaps.data.cocostuff import ABOUT, ENCODING, FIRST_STUFF, YEARS
from primaps.data.labels import read_labels
from primaps.data.lists import list_text
from primaps.data.paired import files_below, require_folder
from primaps.data.paths import printable
from primaps.errors import DatasetError
from primaps.progress import Progress
from primaps.runs.store import atomic_write
from primaps.types import IGNORE_INDEX

SMALLEST_SIDE: Final = 360
"""Pixels."""
STUFF_SHARE: Final = (3, 4)
"""Smallest share of stuff pixels as a fraction, so that the comparison is exact."""


def belongs(labels: NDArray[np.int64]) -> bool:
    """Whether an image belongs to the list.

    Args:
        labels: (H, W) stored fine ids.

    Raises:
        ValueError: If an id is unknown; its only argument is the list of such ids.
    """
    if min(labels.shape) < SMALLEST_SIDE:
        return False
    classes = ENCODING.decode(labels)
    stuff = np.count_nonzero((classes >= FIRST_STUFF) & (classes != IGNORE_INDEX))
    return bool(stuff * STUFF_SHARE[1] >= labels.size * STUFF_SHARE[0])


def make_lists(root: Path, progress: Progress, workers: int = 1) -> tuple[Path, ...]:
    """Write the lists of train and val that are not there yet.

    Args:
        root: Folder of COCO-Stuff.
        progress: Who is told.
        workers: Label images read at the same time.

    Returns:
        The lists that were written.

    Raises:
        DatasetError: If there are no label images, or one cannot be used (a list without it would
            be another list).
        OutputError: If a list cannot be written.
    """
    require_folder(root, "the COCO-Stuff folder")
    wanted = [split for split in ABOUT.splits if split.list_md5 is not None]
    return tuple(
        _make(root, split, progress, workers)
        for split in wanted
        if not (root / str(split.list_file)).exists()
    )


def _make(root: Path, split: Split, progress: Progress, workers: int) -> Path:
    folder = root / "annotations" / YEARS[split.title]
    require_folder(folder, "a folder of label images (stuffthingmaps)")
    files = [name for name in files_below(folder) if name.endswith(".png")]
    names, problems = [], []
    progress.start(f"list of {split.title}", len(files))
    pool = ThreadPoolExecutor(workers, "labels")
    try:
        for file, (taken, problem) in zip(
            files, pool.map(lambda file: _judge(folder / file), files), strict=True
        ):
            progress.advance()
            names += [file.removesuffix(".png")] if taken else []
            problems += [problem] if problem else []
    finally:
        pool.shutdown(cancel_futures=True)
        progress.finish()
    if problems or not names:
        raise DatasetError(_no_list(folder, len(files), problems))
    target = root / str(split.list_file)
    atomic_write(target, list_text(names).encode("ascii"))
    return target


def _judge(path: Path) -> tuple[bool, str]:
    """Whether an image belongs to the list, or what is wrong with its labels."""
    try:
        return belongs(read_labels(path)), ""
    except ValueError as error:
        return (
            False,
            f"{printable(path)}: expected label ids {ENCODING.known}, but got {error.args[0]}.",
        )
    except DatasetError as error:
        return False, f"{error}"


def _no_list(folder: Path, count: int, problems: list[str]) -> str:
    if not problems:
        return (
            f"Expected label images that belong to the curated list in {printable(folder)}, but"
            f" none of {count} does."
        )
    shown = "\n  ".join(problems[:5])
    return (
        f"Expected {count} usable label images in {printable(folder)}, but {len(problems)} are not;"
        " a list without them would be another list, so none was written. Unpack the archive"
        f" again.\n  {shown}"
    )
