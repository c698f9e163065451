"""COCO-Stuff (Caesar et al., CVPR 2018) with 27 coarse classes, on the curated lists of images of
IIC (Ji et al., ICCV 2019).

Layout::

    ROOT/images/{train2017,val2017}/ID.jpg
    ROOT/annotations/{train2017,val2017}/ID.png         the archive "stuffthingmaps"
    ROOT/curated/{train2017,val2017}/LIST.txt           12-digit ids, one per line

Label images hold the fine ids 0..181, which `COARSE` maps to the 27 classes; 255 is unlabelled.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Final

from primaps.data.about import About, Split
from primaps.data.colours import class_colours
from primaps.data.encoding import LabelEncoding
from primaps.data.listed import list_pairs
from primaps.data.lists import read_list
from primaps.data.paired import PairedDataset, require_folder

_FINE: Final = {
    "electronic": range(71, 77),
    "appliance": range(77, 83),
    "food (thing)": range(51, 61),
    "furniture (thing)": range(61, 71),
    "indoor": range(83, 91),
    "kitchen": range(43, 51),
    "accessory": range(25, 33),
    "animal": range(15, 25),
    "outdoor": range(9, 15),
    "person": range(1),
    "sports": range(33, 43),
    "vehicle": range(1, 9),
    "ceiling": (101, 102),
    "floor": (100, *range(113, 118)),
    "food (stuff)": (120, 121, 152, 169),
    "furniture (stuff)": (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164),
    "rawmaterial": (99, 131, 138, 142),
    "textile": (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167),
    "wall": range(170, 177),
    "window": (179, 180),
    "building": (94, 95, 127, 150, 157, 165),
    "ground": (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158),
    "plant": (93, 96, 118, 123, 128, 133, 141, 162, 168),
    "sky": (105, 156),
    "solid": (126, 134, 149, 159, 161, 181),
    "structural": (98, 112, 137, 145, 163),
    "water": (119, 147, 154, 177, 178),
}
CLASS_NAMES: Final = tuple(_FINE)
"""Names by class id; "thing" classes come first, "stuff" classes from `FIRST_STUFF` on."""
CLASS_COLOURS: Final = MappingProxyType(
    dict(zip(CLASS_NAMES, class_colours(len(CLASS_NAMES)).tolist(), strict=True))
)
"""Red, green, blue by name."""
FIRST_STUFF: Final = 12
"""The first class of stuff (ceiling)."""
COARSE: Final = {fine: label for label, ids in enumerate(_FINE.values()) for fine in ids}
"""Class id by fine id 0..181."""
ENCODING: Final = LabelEncoding(COARSE)
"""Stored ids to class ids."""
YEARS: Final = {"train": "train2017", "val": "val2017", "train_large": "train2017"}
"""Folder by split."""

_CURATED = "Coco164kFull_Stuff_Coarse_7.txt"

ABOUT: Final = About(
    title="COCO-Stuff, 27 classes",
    splits=(
        Split(
            "train",
            49_629,
            list_file=f"curated/train2017/{_CURATED}",
            list_md5="bf3d54a2d1d4f2b5f9ff6bb7de1eaa18",
        ),
        Split(
            "val",
            2_175,
            list_file=f"curated/val2017/{_CURATED}",
            list_md5="de66cfb97c6ea796c3ba8e001edda199",
        ),
        Split(
            "train_large",
            97_702,
            needed=False,
            list_file="curated/train2017/Coco164kFull_Stuff_Coarse.txt",
        ),
    ),
    layout=(
        f"images/{{train2017,val2017}}/ID.jpg\nannotations/{{train2017,val2017}}/ID.png\ncurated/{{train2017,val2017}}/{_CURATED}\ncurated/train2017/Coco164kFull_Stuff_Coarse.txt"
        " (optional: split train_large, on which STEGO and HP train)"
    ),
    source=(
        "Images: train2017.zip and val2017.zip of cocodataset.org, into images. Labels:"
        " stuffthingmaps_trainval2017.zip of github.com/nightrome/cocostuff, into annotations."
        " Lists: the folder curated of github.com/janghyuncho/PiCIE; or let `primaps check"
        " cocostuff --root ROOT --make-lists` make those of train and val from the labels."
    ),
    licence=(
        "Read the terms at cocodataset.org (images) and github.com/nightrome/cocostuff (labels)."
    ),
    short="COCO-Stuff",
)


def load(root: Path, split: str | None) -> PairedDataset:
    """Open a split of COCO-Stuff.

    Args:
        root: Folder with images, annotations and curated.
        split: "train" or "val"; "train_large" is the longer training list that STEGO and HP use.

    Raises:
        DatasetError: If root, split or its list is missing, or a listed file is.
    """
    return survey(root, split).complete()


def survey(root: Path, split: str | None) -> PairedDataset:
    """Open what there is of a split of COCO-Stuff.

    Args:
        root: Folder with images, annotations and curated.
        split: "train", "val" or "train_large".

    Raises:
        DatasetError: If root, split or its list is missing.
    """
    require_folder(root, "the COCO-Stuff folder")
    chosen = ABOUT.split(split, root)
    year = YEARS[chosen.title]
    images, labels = root / "images" / year, root / "annotations" / year
    require_folder(images, "a folder of photographs")
    require_folder(labels, "a folder of label images (stuffthingmaps)")
    names = read_list(
        root / str(chosen.list_file), f"{_remedy(chosen)} `primaps check cocostuff` says more."
    )
    listing = list_pairs(names, images, ".jpg", labels, ".png")
    return PairedDataset(listing, CLASS_NAMES, class_colours(len(CLASS_NAMES)), ENCODING)


def _remedy(split: Split) -> str:
    if split.list_md5 is None:
        return (
            "This list comes with the data that STEGO and HP train on, and cannot be made from the"
            " labels."
        )
    return (
        "Copy it from its source, or make it: `primaps check cocostuff --root ROOT --make-lists`."
    )
