"""Data sets in which every image file has a label file beside it, somewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.data.dataset import Sample
from primaps.data.encoding import LabelEncoding, identity
from primaps.data.labels import read_labels
from primaps.data.paths import printable
from primaps.data.reading import read_image
from primaps.data.scanning import is_image_name
from primaps.data.upright import standing
from primaps.errors import DatasetError
from primaps.types import Failure, Image


@dataclass(frozen=True)
class Pair:
    """An image file and its label image.

    Attributes:
        name: The image's path relative to the image folder, with forward slashes.
        image: Image file.
        labels: Label image file.
    """

    name: str
    image: Path
    labels: Path


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    Attributes:
        pairs: Images with their label images, in order.
        missing: What the split lacks (stage "layout"): a file that is not there, with the path at
            which it was expected.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[Failure, ...] = ()


class PairedDataset:
    """A `primaps.data.dataset.LabelledDataset` over pairs of files.

    Args:
        listing: The files.
        class_names: Names by class id.
        colours: (num_classes, 3) uint8 RGB.
        encoding: What the stored label ids mean; None = they are the class ids, and 255 is
            unlabelled.
    """

    def __init__(
        self,
        listing: Listing,
        class_names: tuple[str, ...],
        colours: NDArray[np.uint8],
        encoding: LabelEncoding | None = None,
    ) -> None:
        self.pairs = listing.pairs
        self.missing = listing.missing
        self.class_names = class_names
        self.colours = colours
        self._encoding = identity(len(class_names)) if encoding is None else encoding

    def __repr__(self) -> str:
        names = ", ".join(self.class_names[:4]) + (", ..." if len(self.class_names) > 4 else "")
        where = os.path.commonpath([pair.image.parent for pair in self.pairs]) if self.pairs else ""
        return (
            f"{type(self).__name__}({len(self)} images with labels of {len(self.class_names)}"
            f" classes ({names}), in {where})"
        )

    @property
    def image_paths(self) -> tuple[Path, ...]:
        """The image files in order: all that fitting may look at."""
        return tuple(pair.image for pair in self.pairs)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its labels.

        Raises:
            IndexError: If ``index`` is out of range.
            DatasetError: If a file cannot be read, sizes differ, or a label is out of range.
        """
        pair = self.pairs[index]
        image, labels = read_image(pair.image), self.labels(index)
        check_sizes(pair, image, labels)
        return Sample(name=pair.name, path=pair.image, image=image, labels=labels)

    def labels(self, index: int) -> NDArray[np.int64]:
        """(H, W) int64 class ids of one image, IGNORE_INDEX (255) where unlabelled.

        Raises:
            IndexError: If ``index`` is out of range.
            DatasetError: If the file cannot be read, or holds an id that the data set does not
                have.
        """
        path = self.pairs[index].labels
        try:
            return self._encoding.decode(read_labels(path))
        except ValueError as error:
            raise DatasetError(
                f"Expected label ids {self._encoding.known} (255 is unlabelled), but"
                f" {printable(path)} contains {_some(error.args[0])}. Check that the labels belong"
                " to this data set."
            ) from error

    def complete(self) -> PairedDataset:
        """The data set itself, if none of its files is missing.

        Raises:
            DatasetError: If one is.
        """
        if not self.missing:
            return self
        shown = "\n  ".join(f"{failure.path}: {failure.reason}" for failure in self.missing[:5])
        more = (
            f"\n  ... and {len(self.missing) - 5} more; `primaps check` lists them"
            if len(self.missing) > 5
            else ""
        )
        raise DatasetError(
            f"Expected a complete data set, but this is missing in {len(self.missing)} cases:\n "
            f" {shown}{more}"
        )


def check_sizes(pair: Pair, image: Image, labels: NDArray[np.int64]) -> None:
    """Check that an image and its labels have one size, and stand the same way up.

    A photograph that its EXIF tag turns is read upright. Its labels may have been drawn on the
    pixels as they are stored, which equal sizes do not tell unless the sides are exchanged.

    Raises:
        DatasetError: If not; the message names both files and sizes.
    """
    size = image.shape[:2]
    stands = standing(pair.image)
    turned = stands.turned and not standing(pair.labels).turned
    if size == labels.shape and (not turned or (stands.swapped and size[0] != size[1])):
        return
    if turned and size in {labels.shape, labels.shape[::-1]}:
        known = "lies as stored" if size != labels.shape else "may lie either way"
        raise DatasetError(
            f"Expected image and label image that stand the same way up, but the EXIF tag of"
            f" {printable(pair.image)} turns it ({_size(image)} pixels upright), and"
            f" {printable(pair.labels)} ({_size(labels)}) {known}. Save the photograph without the"
            " tag, turned as its label image is: as it is stored by removing the tag, upright with"
            " PIL.ImageOps.exif_transpose."
        )
    advice = (
        "Resize the label image without interpolation, or turn it if it lies on its side."
        if size == labels.shape[::-1]
        else "Resize the label image without interpolation."
    )
    raise DatasetError(
        f"Expected image and label image of one size, but {printable(pair.image)} has"
        f" {_size(image)} pixels and {printable(pair.labels)} has {_size(labels)}. {advice}"
    )


def pair_files(images: Path, labels: Path) -> Listing:
    """Match the images of one folder tree with the label images (PNG) of another.

    The label image of ``a/b.jpg`` is ``a/b.jpg.png`` or else ``a/b.png``.

    Args:
        images: Folder of the images; hidden files and files of other kinds are left out.
        labels: Folder of the label images.

    Returns:
        Pairs sorted by name, and the images and label images without partner.

    Raises:
        DatasetError: If the folder has no image, or two images share a label image.
    """
    image_names = [name for name in files_below(images) if is_image_name(Path(name))]
    label_names = {name for name in files_below(labels) if Path(name).suffix.lower() == ".png"}
    if not image_names:
        raise no_images(images)
    matches = {name: _label_name(name, label_names) for name in image_names}
    owners: dict[str, str] = {}
    for name, match in matches.items():
        if match in owners:
            raise DatasetError(
                f"Expected one label image per image, but {owners[match]} and {name} of"
                f" {printable(images)} share {match}. Name the label images {owners[match]}.png and"
                f" {name}.png."
            )
        if match is not None:
            owners[match] = name
    without = [images / name for name, match in matches.items() if match is None]
    missing = [
        without_labels(path, (labels / path.relative_to(images)).with_suffix(".png"))
        for path in without
    ]
    missing += [
        without_image(labels / name, (images / name).with_suffix(".*"))
        for name in sorted(label_names - owners.keys())
    ]
    pairs = tuple(
        Pair(name, images / name, labels / match)
        for name, match in matches.items()
        if match is not None
    )
    return Listing(pairs, tuple(missing))


def without_labels(image: Path, expected: Path) -> Failure:
    """The report of an image that has no label image.

    Args:
        image: The image.
        expected: Where its label image should be.
    """
    reason = (
        f"Expected the label image of {printable(image)} here, but there is none. Add it or remove"
        " the image."
    )
    return Failure(printable(expected), "layout", reason)


def without_image(labels: Path, expected: Path) -> Failure:
    """The report of a label image that has no image.

    Args:
        labels: The label image.
        expected: Where its image should be.
    """
    reason = (
        f"Expected the image of {printable(labels)} here, but there is none. Add it or remove the"
        " label image."
    )
    return Failure(printable(expected), "layout", reason)


def no_images(folder: Path) -> DatasetError:
    """The error for a folder in which images were expected."""
    return DatasetError(
        f"Expected images in {printable(folder)}, but found none. Check the folder and the split."
    )


def require_folder(path: Path, meaning: str) -> None:
    """Check that a folder exists.

    Raises:
        DatasetError: If not; the message contains ``meaning``.
    """
    if not path.is_dir():
        what = "it is a file" if path.exists() else "there is none"
        raise DatasetError(f"Expected {meaning} at {printable(path)}, but {what}. Check the path.")


def split_folders(root: Path) -> list[str]:
    """Names of the splits in a root: folders ``NAME`` that stand beside ``NAMEannot``, sorted."""
    names = {path.name for path in root.iterdir() if path.is_dir()}
    return sorted(name for name in names if f"{name}annot" in names)


def missing_split(root: Path, split: str | None, existing: list[str], layout: str) -> DatasetError:
    """The error for a split that is not there: lists those that are."""
    got = "no split was given" if split is None else f"there is no split {split!r}"
    there = f"It has the splits {', '.join(existing)}" if existing else "It has no split at all"
    return DatasetError(
        f"Expected {layout} in {printable(root)}, but {got}. {there}. Check root and split."
    )


def files_below(folder: Path) -> list[str]:
    """Relative paths with forward slashes of all files below a folder, hidden ones left out,
    sorted.

    Raises:
        DatasetError: If a folder cannot be read.
    """
    found: list[str] = []
    for top, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = Path(top).relative_to(folder)
        found += [
            (inner / name).as_posix() if inner.parts else name
            for name in files
            if not name.startswith(".")
        ]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise DatasetError(
        f"Expected a readable folder, but got for {printable(error.filename)}: {error.strerror}."
        " Change its rights."
    ) from error


def _label_name(image_name: str, label_names: set[str]) -> str | None:
    candidates = (f"{image_name}.png", Path(image_name).with_suffix(".png").as_posix())
    return next((name for name in candidates if name in label_names), None)


def _some(values: list[int]) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
