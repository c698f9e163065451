"""Data sets whose images and label images lie in two parallel folder trees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.data.dataset import Sample
from primaps.data.labels import read_labels
from primaps.data.paths import printable
from primaps.data.reading import read_image
from primaps.data.scanning import is_image_name
from primaps.errors import DatasetError
from primaps.types import IGNORE_INDEX


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


class PairedDataset:
    """A `primaps.data.dataset.LabelledDataset` over pairs of files.

    Args:
        pairs: The files, in order.
        class_names: Names by class id.
        colours: (num_classes, 3) uint8 RGB.
        ignored: Stored label ids that mean "unlabelled", besides IGNORE_INDEX.
    """

    def __init__(
        self, pairs: tuple[Pair, ...], class_names: tuple[str, ...], colours: NDArray[np.uint8], ignored: tuple[int, ...] = ()
    ) -> None:
        self.pairs = pairs
        self.class_names = class_names
        self.colours = colours
        self._ignored = ignored

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
        image = read_image(pair.image)
        labels = read_labels(pair.labels)
        if image.shape[:2] != labels.shape:
            raise DatasetError(
                f"Expected image and label image of one size, but {printable(pair.image)} has {_size(image)} pixels and "
                f"{printable(pair.labels)} has {_size(labels)}. Resize the label image without interpolation."
            )
        return Sample(name=pair.name, path=pair.image, image=image, labels=self._checked(labels, pair))

    def _checked(self, labels: NDArray[np.int64], pair: Pair) -> NDArray[np.int64]:
        labels[np.isin(labels, self._ignored)] = IGNORE_INDEX
        wrong = np.unique(labels[(labels != IGNORE_INDEX) & ((labels < 0) | (labels >= len(self.class_names)))])
        if wrong.size:
            raise DatasetError(
                f"Expected class ids 0..{len(self.class_names) - 1} or {IGNORE_INDEX} (unlabelled), but {printable(pair.labels)} "
                f"contains {_some(wrong.tolist())}. Check that the labels belong to this data set."
            )
        return labels


def pair_files(images: Path, labels: Path) -> tuple[Pair, ...]:
    """Match the images of one folder tree with the label images (PNG) of another.

    The label image of ``a/b.jpg`` is ``a/b.jpg.png`` or else ``a/b.png``.

    Args:
        images: Folder of the images; hidden files and files of other kinds are left out.
        labels: Folder of the label images.

    Returns:
        Pairs sorted by name.

    Raises:
        DatasetError: If a folder is empty, an image has no label image, a label image no image, or two images share one.
    """
    image_names = [name for name in _files(images) if is_image_name(Path(name))]
    label_names = {name for name in _files(labels) if Path(name).suffix.lower() == ".png"}
    if not image_names:
        raise DatasetError(f"Expected images in {printable(images)}, but found none. Check the folder and the split.")
    matches = {name: _label_name(name, label_names) for name in image_names}
    without = [name for name, match in matches.items() if match is None]
    if without:
        raise DatasetError(
            f"Expected a label image for every image of {printable(images)}, but {printable(labels)} has none for "
            f"{_some(without)}. Add {printable(labels / Path(without[0]).with_suffix('.png'))} or remove the image."
        )
    owners: dict[str, str] = {}
    for name, match in matches.items():
        if match in owners:
            raise DatasetError(
                f"Expected one label image per image, but {owners[match]} and {name} of {printable(images)} share {match}. "
                f"Name the label images {owners[match]}.png and {name}.png."
            )
        owners[str(match)] = name
    unused = sorted(label_names - owners.keys())
    if unused:
        raise DatasetError(
            f"Expected an image for every label image of {printable(labels)}, but {printable(images)} has none for "
            f"{_some(unused)}. Add the images or remove the label images."
        )
    return tuple(Pair(name, images / name, labels / match) for name, match in matches.items() if match is not None)


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
    return DatasetError(f"Expected {layout} in {printable(root)}, but {got}. {there}. Check root and split.")


def _files(folder: Path) -> list[str]:
    """Relative paths with forward slashes of all files below a folder, hidden ones left out, sorted."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _label_name(image_name: str, label_names: set[str]) -> str | None:
    candidates = (f"{image_name}.png", Path(image_name).with_suffix(".png").as_posix())
    return next((name for name in candidates if name in label_names), None)


def _some(values: list[str] | list[int]) -> str:
    shown = ", ".join(printable(str(value)) for value in values[:5])
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"


def _size(array: NDArray[np.generic]) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
