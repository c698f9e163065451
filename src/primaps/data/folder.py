"""Your own labelled data: a folder of images beside a folder of label PNGs.

Layouts (sub-folders are allowed everywhere)::

    ROOT/SPLIT/a.jpg           ROOT/SPLITannot/a.png
    ROOT/images/SPLIT/a.jpg    ROOT/labels/SPLIT/a.png
    ROOT/images/a.jpg          ROOT/labels/a.png             without splits: split=None

Label images have one channel (greyscale or indexed); pixel values are class ids 0..254, and 255 is
unlabelled. The label image of ``a.jpg`` is ``a.jpg.png`` or ``a.png``. ``ROOT/classes.txt`` names
the classes, one per line in the order of their ids; without it the label images of the split are
read once to find the largest id, and classes are called "class 0", "class 1", ... Binary masks of 0
and 255 are refused, since one class would be left: save 1 instead of 255, or name the one class.

Images without labels need no data set: they are given to the commands directly.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from primaps.data.about import About, Split
from primaps.data.colours import class_colours
from primaps.data.labels import read_labels
from primaps.data.paired import (
    Pair,
    PairedDataset,
    files_below,
    missing_split,
    pair_files,
    require_folder,
    split_folders,
)
from primaps.data.paths import printable
from primaps.errors import DatasetError, ImageError
from primaps.types import IGNORE_INDEX


def load(root: Path, split: str | None) -> PairedDataset:
    """Open a folder of images and label images.

    Args:
        root: Folder in one of the layouts above.
        split: Name of the split; None if there are none.

    Raises:
        DatasetError: As `survey`, or if an image has no label image or a label image no image.
    """
    return survey(root, split).complete()


def survey(root: Path, split: str | None) -> PairedDataset:
    """Open what there is of a folder of images and label images.

    Args:
        root: Folder in one of the layouts above.
        split: Name of the split; None if there are none.

    Raises:
        DatasetError: If root or split is missing, the split is empty, two images share a label
            image, no label image has a labelled pixel, all have one class and 255 alone, or
            classes.txt is malformed.
    """
    require_folder(root, "a data set folder")
    images, labels = _folders(root, split)
    listing = pair_files(images, labels)
    if not listing.pairs:
        raise DatasetError(_no_labels(images, labels))
    known = _class_names(root)
    names = known or _numbered_classes(listing.pairs)
    if len(known) != 1:
        _refuse_one_class(listing.pairs)
    return PairedDataset(listing, names, class_colours(len(names)))


def _folders(root: Path, split: str | None) -> tuple[Path, Path]:
    """Folder of the images and folder of the label images."""
    images, labels = root / "images", root / "labels"
    if split is None:
        if images.is_dir() and labels.is_dir():
            return images, labels
        raise missing_split(root, split, _splits(root), "folders images and labels")
    candidates = [(images / split, labels / split), (root / split, root / f"{split}annot")]
    for pair in candidates:
        if pair[0].is_dir() and pair[1].is_dir():
            return pair
    raise missing_split(
        root, split, _splits(root), "images/SPLIT and labels/SPLIT, or SPLIT and SPLITannot,"
    )


def find_splits(root: Path) -> tuple[Split, ...]:
    """The splits of a folder; one without a name if it has images and labels, but no splits.

    Args:
        root: Folder in one of the layouts above.

    Raises:
        DatasetError: If there is no such folder, or it has none of the layouts.
    """
    require_folder(root, "a data set folder")
    names = _splits(root)
    if names:
        return tuple(Split(name) for name in names)
    _folders(root, None)
    return (Split(None),)


ABOUT: Final = About(
    title="your own images with label PNGs",
    splits=(),
    layout=(
        "images/SPLIT/NAME.jpg and labels/SPLIT/NAME.png, or SPLIT/NAME.jpg and"
        " SPLITannot/NAME.png\nimages/NAME.jpg and labels/NAME.png (no splits)\nclasses.txt: names"
        " of the classes, one per line (optional)"
    ),
    source=(
        "These are your own files: label images have one channel of class ids 0..254, and 255 is"
        " unlabelled."
    ),
    licence="Yours.",
    discover=find_splits,
)


def _splits(root: Path) -> list[str]:
    images, labels = root / "images", root / "labels"
    nested = (
        [path.name for path in images.iterdir() if (labels / path.name).is_dir()]
        if images.is_dir()
        else []
    )
    return sorted({*nested, *split_folders(root)})


def _class_names(root: Path) -> tuple[str, ...]:
    """Names from classes.txt; none if there is no such file."""
    path = root / "classes.txt"
    if not path.exists():
        return ()
    try:
        names = tuple(
            line.strip() for line in path.read_text(encoding="utf-8-sig").strip().splitlines()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(
            f"Expected class names as UTF-8 text in {printable(path)}, but got: {error}. Save it as"
            " UTF-8."
        ) from error
    if not names or "" in names or len(set(names)) != len(names) or len(names) > IGNORE_INDEX:
        raise DatasetError(
            f"Expected 1 to {IGNORE_INDEX} different class names in {printable(path)}, one per"
            f" line, but got {len(names)} lines, {names.count('')} of them empty, with"
            f" {len(set(names))} different names. Correct the file."
        )
    return names


def _numbered_classes(pairs: tuple[Pair, ...]) -> tuple[str, ...]:
    largest = -1
    for pair in pairs:
        try:
            labels = read_labels(pair.labels)
        except ImageError:
            continue  # reported when the image itself is asked for
        largest = max(largest, int(labels.max(where=labels != IGNORE_INDEX, initial=-1)))
        if largest > IGNORE_INDEX:
            raise DatasetError(
                f"Expected class ids 0..{IGNORE_INDEX - 1} or {IGNORE_INDEX} (unlabelled), but"
                f" {printable(pair.labels)} contains {largest}. Renumber the classes."
            )
    if largest < 0:
        raise DatasetError(
            f"Expected labelled pixels in {len(pairs)} label images, but all are {IGNORE_INDEX}"
            " (unlabelled)."
        )
    return tuple(f"class {index}" for index in range(largest + 1))


def _no_labels(images: Path, labels: Path) -> str:
    others = sorted({Path(name).suffix.lower() for name in files_below(labels)} - {".png"})
    kinds = (
        f" There are files {', '.join(others)}: only PNG keeps class ids as they are."
        if others
        else ""
    )
    return (
        f"Expected label images in {printable(labels)}, named as the images, but no image of"
        f" {printable(images)} has one (a.png or a.jpg.png for a.jpg).{kinds}"
    )


def _refuse_one_class(pairs: tuple[Pair, ...]) -> None:
    """Binary masks are commonly exported as 0 and 255. Here 255 is unlabelled, so that one class is
    left and every score is perfect.
    """
    seen: set[int] = set()
    for pair in pairs:
        try:
            seen |= set(np.unique(read_labels(pair.labels)).tolist())
        except DatasetError:
            continue  # reported when the image itself is asked for
        if len(seen - {IGNORE_INDEX}) > 1:
            return
    if IGNORE_INDEX not in seen or len(seen) != 2:
        return
    (only,) = seen - {IGNORE_INDEX}
    raise DatasetError(
        f"Expected labels of several classes, but those of {len(pairs)} images hold {only} and 255"
        " alone, and 255 counts as unlabelled: one class would be left, and every score would be"
        f" 100 %. If 255 is a class, save it under another id, such as {1 if only != 1 else 0}. If"
        " it does mean unlabelled, say so with a classes.txt of one name."
    )
