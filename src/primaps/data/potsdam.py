"""Potsdam (ISPRS 2D semantic labelling) with 3 classes, in the tiles of IIC (Ji et al., ICCV 2019).

Layout::

    ROOT/imgs/NAME.mat            img: (200, 200, 4) uint8, red, green, blue and infrared
    ROOT/gt/NAME.mat              gt: (200, 200) int32, 0..5
    ROOT/labelled_train.txt       names, one per line
    ROOT/labelled_test.txt

Infrared is dropped. The six stored classes become three: impervious surface and car, building and
clutter, low vegetation and tree. The lists were drawn at random once, so the published ones are
needed.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from primaps.data.about import About, Split
from primaps.data.encoding import LabelEncoding
from primaps.data.listed import list_pairs
from primaps.data.lists import read_list
from primaps.data.paired import PairedDataset, require_folder

_CLASSES: Final = {
    "roads and cars": (58, 0, 68),
    "buildings and clutter": (0, 130, 122),
    "vegetation and trees": (255, 230, 0),
}
CLASS_NAMES: Final = tuple(_CLASSES)
"""Names by class id."""
CLASS_COLOURS: Final = MappingProxyType(_CLASSES)
"""Red, green, blue by name."""
ENCODING: Final = LabelEncoding({0: 0, 4: 0, 1: 1, 5: 1, 2: 2, 3: 2}, ignored=(-1,))
"""Stored ids (impervious, building, low vegetation, tree, car, clutter) to class ids."""

ABOUT: Final = About(
    title="Potsdam, 3 classes",
    splits=(
        Split("train", 4_545, list_file="labelled_train.txt"),
        Split("val", 855, list_file="labelled_test.txt", aliases=("test",)),
    ),
    layout=(
        "imgs/NAME.mat (img: height x width x 4, uint8)\ngt/NAME.mat (gt: height x width, int32)\n"
        "labelled_train.txt, labelled_test.txt (val and test are the same)"
    ),
    source=(
        "Take the prepared tiles: Potsdam.tar.gz of github.com/xu-ji/IIC or potsdam.zip of"
        " github.com/mhamilton723/STEGO; the root is the unpacked folder. Tiles cut anew do not"
        " agree with the published lists."
    ),
    licence="Read the terms of the ISPRS benchmark at www.isprs.org.",
    short="Potsdam-3",
)


def load(root: Path, split: str | None) -> PairedDataset:
    """Open a split of Potsdam.

    Args:
        root: Folder with imgs, gt and the lists.
        split: "train" or "val"; "test" is the same as "val".

    Raises:
        DatasetError: If root, split or its list is missing, or a listed file is.
    """
    return survey(root, split).complete()


def survey(root: Path, split: str | None) -> PairedDataset:
    """Open what there is of a split of Potsdam.

    Args:
        root: Folder with imgs, gt and the lists.
        split: "train", "val" or "test".

    Raises:
        DatasetError: If root, split or its list is missing.
    """
    require_folder(root, "the Potsdam folder")
    chosen = ABOUT.split(split, root)
    require_folder(root / "imgs", "a folder of image tiles")
    require_folder(root / "gt", "a folder of label tiles")
    names = read_list(
        root / str(chosen.list_file),
        "The lists come with the tiles and cannot be made. `primaps check potsdam` says more.",
    )
    listing = list_pairs(names, root / "imgs", ".mat", root / "gt", ".mat")
    return PairedDataset(
        listing, CLASS_NAMES, np.array(list(_CLASSES.values()), dtype=np.uint8), ENCODING
    )
