"""Cityscapes (Cordts et al., CVPR 2016) with 27 classes, as unsupervised segmentation is measured
on it.

Layout::

    ROOT/leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png
    ROOT/gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png

Label images hold the ids 0..33 of the data set. Ids 7..33 are the classes 0..26; the others are
unlabelled.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from primaps.data.about import About, Split
from primaps.data.encoding import LabelEncoding
from primaps.data.paired import (
    Listing,
    Pair,
    PairedDataset,
    files_below,
    no_images,
    require_folder,
    without_image,
    without_labels,
)
from primaps.data.paths import printable
from primaps.errors import DatasetError

_CLASSES: Final = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "parking": (250, 170, 160),
    "rail track": (230, 150, 140),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "guard rail": (180, 165, 180),
    "bridge": (150, 100, 100),
    "tunnel": (150, 120, 90),
    "pole": (153, 153, 153),
    "polegroup": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "caravan": (0, 0, 90),
    "trailer": (0, 0, 110),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
CLASS_NAMES: Final = tuple(_CLASSES)
"""Names by class id."""
CLASS_COLOURS: Final = MappingProxyType(_CLASSES)
"""Red, green, blue by name."""
FIRST_ID: Final = 7
"""Stored id of class 0."""
ENCODING: Final = LabelEncoding(
    {label + FIRST_ID: label for label in range(len(_CLASSES))}, ignored=range(FIRST_ID)
)
"""Stored ids to class ids."""

_IMAGE, _LABELS = "_leftImg8bit.png", "_gtFine_labelIds.png"

ABOUT: Final = About(
    title="Cityscapes, 27 classes",
    splits=(Split("train", 2975), Split("val", 500), Split("test", 1525, needed=False)),
    layout=f"leftImg8bit/SPLIT/CITY/NAME{_IMAGE}\ngtFine/SPLIT/CITY/NAME{_LABELS}",
    source=(
        "Register at www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and"
        " gtFine_trainvaltest.zip, and unpack both into the root."
    ),
    licence="Read the terms at www.cityscapes-dataset.com/license.",
    short="Cityscapes",
)


def load(root: Path, split: str | None) -> PairedDataset:
    """Open a split of Cityscapes.

    Args:
        root: Folder with leftImg8bit and gtFine.
        split: "train", "val" or "test" (whose published labels are empty).

    Raises:
        DatasetError: If root or split is missing, the split is empty, or images and label images do
            not match.
    """
    return survey(root, split).complete()


def survey(root: Path, split: str | None) -> PairedDataset:
    """Open what there is of a split of Cityscapes.

    Args:
        root: Folder with leftImg8bit and gtFine.
        split: "train", "val" or "test".

    Raises:
        DatasetError: If root or split is missing, or the split is empty.
    """
    require_folder(root, "the Cityscapes folder")
    name = ABOUT.split(split, root).title
    images, labels = root / "leftImg8bit" / name, root / "gtFine" / name
    for folder in (images, labels):
        if not folder.is_dir():
            raise DatasetError(
                f"Expected a folder {printable(folder)}, but there is none. `primaps check"
                f" cityscapes --root {printable(root)}` says what belongs there."
            )
    colours = np.array(list(_CLASSES.values()), dtype=np.uint8)
    return PairedDataset(_list(images, labels), CLASS_NAMES, colours, ENCODING)


def _list(images: Path, labels: Path) -> Listing:
    stems = [name.removesuffix(_IMAGE) for name in files_below(images) if name.endswith(_IMAGE)]
    labelled = {
        name.removesuffix(_LABELS) for name in files_below(labels) if name.endswith(_LABELS)
    }
    if not stems:
        raise no_images(images)
    pairs = tuple(
        Pair(f"{stem}{_IMAGE}", images / f"{stem}{_IMAGE}", labels / f"{stem}{_LABELS}")
        for stem in stems
    )
    missing = [
        without_labels(pair.image, pair.labels) for pair in pairs if _stem(pair) not in labelled
    ]
    missing += [
        without_image(labels / f"{stem}{_LABELS}", images / f"{stem}{_IMAGE}")
        for stem in sorted(labelled - set(stems))
    ]
    return Listing(tuple(pair for pair in pairs if _stem(pair) in labelled), tuple(missing))


def _stem(pair: Pair) -> str:
    return pair.name.removesuffix(_IMAGE)
