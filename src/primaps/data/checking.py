"""Is a data set complete and readable? What `primaps check` finds out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.data.about import About, Split
from primaps.data.dataset import dataset_module
from primaps.data.lists import list_md5, read_list
from primaps.data.paired import PairedDataset, check_sizes, require_folder
from primaps.data.paths import printable
from primaps.data.reading import read_image
from primaps.errors import DatasetError
from primaps.progress import Progress
from primaps.types import IGNORE_INDEX, Failure


@dataclass(frozen=True)
class SplitCheck:
    """What was found in one split.

    Attributes:
        split: The split and its published size.
        images: Number of images that can be used with their labels.
        class_names: Names by class id; empty if the split could not be opened.
        pixels: (num_classes,) int64 labelled pixels per class, over the usable images.
        ignored: Number of their unlabelled pixels.
        failures: Files that are missing or cannot be used, in order.
        error: Why the split could not be opened at all; "" if it could.
    """

    split: Split
    images: int = 0
    class_names: tuple[str, ...] = ()
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ignored: int = 0
    failures: tuple[Failure, ...] = ()
    error: str = ""

    @property
    def complete(self) -> bool:
        """Whether every published image is there and usable, and nothing else is wrong."""
        return not (self.error or self.failures) and self.images == (
            self.split.images or self.images
        )

    @property
    def left_out(self) -> bool:
        """Whether it is an optional split that is not there."""
        return bool(self.error) and not self.split.needed

    @property
    def ignored_share(self) -> float:
        """Unlabelled fraction of the pixels; 0 if there are none."""
        total = int(self.pixels.sum()) + self.ignored
        return self.ignored / total if total else 0.0


@dataclass(frozen=True)
class DatasetCheck:
    """What was found of a data set.

    Attributes:
        name: Its name for ``--dataset``.
        root: Where it was looked for.
        about: What is published about it.
        splits: What was found, split by split; empty if there is none.
        error: Why there is no split; "" otherwise.
    """

    name: str
    root: Path
    about: About
    splits: tuple[SplitCheck, ...]
    error: str = ""

    @property
    def complete(self) -> bool:
        """Whether every needed split is complete, and no other one is damaged."""
        return self.usable and all(split.complete or split.left_out for split in self.splits)

    @property
    def usable(self) -> bool:
        """Whether any image can be used."""
        return any(split.images for split in self.splits)


def check_dataset(
    name: str, root: str | Path, split: str | None, progress: Progress, workers: int = 1
) -> DatasetCheck:
    """Read every image and label of a data set, and compare the numbers with the published ones.

    Args:
        name: Name of the data set.
        root: Its folder.
        split: Only this one; None = all that are published (of a ``folder``, all that are there).
        progress: Who is told; one stage per split, one step per image.
        workers: Images read at the same time.

    Raises:
        ConfigError: If the name is unknown.
    """
    module = dataset_module(name)
    about, folder = module.ABOUT, Path(root)
    try:
        require_folder(folder, "a data set")
        splits = _splits(about, folder, split)
    except DatasetError as error:
        return DatasetCheck(name, folder, about, (), str(error))
    found = tuple(_check_split(module.survey, folder, one, progress, workers) for one in splits)
    return DatasetCheck(name, folder, about, found)


def _splits(about: About, root: Path, name: str | None) -> tuple[Split, ...]:
    if about.discover is not None:
        return about.discover(root) if name is None else (Split(name),)
    return (
        about.splits
        if name is None
        else (dataclasses.replace(about.split(name, root), needed=True),)
    )


def _check_split(
    survey: Callable[[Path, str | None], PairedDataset],
    root: Path,
    split: Split,
    progress: Progress,
    workers: int,
) -> SplitCheck:
    try:
        dataset = survey(root, split.name)
    except DatasetError as error:
        return SplitCheck(split, error=str(error))
    num_classes = len(dataset.class_names)
    counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
    failures = [*_other_list(root, split), *dataset.missing]
    images = 0
    progress.start(split.title, len(dataset))
    pool = ThreadPoolExecutor(workers, "check")
    try:
        for present, problems in pool.map(
            lambda index: _check_image(dataset, index), range(len(dataset))
        ):
            progress.advance()
            counts += present
            failures += problems
            images += not problems
    finally:
        pool.shutdown(cancel_futures=True)
        progress.finish()
    return SplitCheck(
        split,
        images,
        dataset.class_names,
        counts[:num_classes],
        int(counts[IGNORE_INDEX]),
        failures=tuple(failures),
    )


def _check_image(dataset: PairedDataset, index: int) -> tuple[NDArray[np.int64], list[Failure]]:
    """(256,) pixels per class id of one image, and what is wrong with its files."""
    pair, nothing = dataset.pairs[index], np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
    image = labels = None
    failures = []
    try:
        image = read_image(pair.image)
    except DatasetError as error:
        failures.append(Failure(printable(pair.image), "image", str(error)))
    try:
        labels = dataset.labels(index)
        if image is not None:
            check_sizes(pair, image, labels)
    except DatasetError as error:
        failures.append(Failure(printable(pair.labels), "labels", str(error)))
    if failures or labels is None:
        return nothing, failures
    return np.bincount(labels.ravel(), minlength=len(nothing)), failures


def _other_list(root: Path, split: Split) -> list[Failure]:
    """A report if the list of a split is not the published one."""
    if split.list_file is None or split.list_md5 is None:
        return []
    path = root / split.list_file
    names = read_list(path, "")
    if list_md5(names) == split.list_md5:
        return []
    reason = (
        f"Expected the published list of {split.images} images, but this one has {len(names)} and"
        " differs, so that scores will not compare with published ones. Copy it from its source,"
        " or delete it and make it anew from the complete labels."
    )
    return [Failure(printable(path), "list", reason)]
