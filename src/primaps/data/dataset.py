"""Labelled data sets behind one protocol, and the registry of their names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from primaps.config import did_you_mean
from primaps.data.about import About
from primaps.errors import ConfigError
from primaps.extensions import check_registration, load_extensions
from primaps.given import given_path
from primaps.types import Image

if TYPE_CHECKING:
    from primaps.data.paired import PairedDataset

DATASETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: f"primaps.data.{name}"
        for name in ("cityscapes", "cocostuff", "potsdam", "camvid", "folder")
    }
)
"""Names of the data sets and the modules that load them; see `DatasetModule`. A module here and an
entry in this table make a data set.
"""


@dataclass(frozen=True)
class Sample:
    """One image with its ground truth.

    Attributes:
        name: Relative path with forward slashes and extension, unique in the data set.
        path: Where the image lies.
        image: (H, W, 3) uint8 RGB, upright.
        labels: (H, W) int64 class ids in [0, num_classes); IGNORE_INDEX (255) where unlabelled.
    """

    name: str
    path: Path
    image: Image
    labels: NDArray[np.int64]


@runtime_checkable
class LabelledDataset(Protocol):
    """Images with ground truth, read when asked for; ``for sample in dataset`` works on every
    implementation.
    """

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by class id."""
        ...

    @property
    def colours(self) -> NDArray[np.uint8]:
        """(num_classes, 3) uint8 RGB for display."""
        ...

    @property
    def image_paths(self) -> tuple[Path, ...]:
        """The image files in order: all that fitting may look at."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: int) -> Sample:
        """Read one image and its labels.

        Raises:
            IndexError: If ``index`` is out of range (this ends iteration).
            DatasetError: If a file cannot be read, sizes differ, or a label is out of range.
        """
        ...


class DatasetModule(Protocol):
    """What the module of a data set has; those whose classes are published also have
    ``CLASS_COLOURS``, colours by name.
    """

    ABOUT: About
    """What is published about it."""

    def load(self, root: Path, split: str | None) -> LabelledDataset:
        """Open a split that is complete; see `load_dataset`."""
        ...

    def survey(self, root: Path, split: str | None) -> PairedDataset:
        """Open what there is of a split, for `primaps check`.

        Raises:
            DatasetError: If root or split is missing, or the split is empty.
        """
        ...


@dataclass
class RegisteredDataset:
    """A `DatasetModule` of what `register_dataset` was told."""

    ABOUT: About
    survey: Callable[[Path, str | None], PairedDataset]

    def load(self, root: Path, split: str | None) -> LabelledDataset:
        """Open a split that is complete; see `load_dataset`."""
        return self.survey(root, split).complete()


_REGISTERED: Final[dict[str, RegisteredDataset]] = {}
"""By name: what `register_dataset` was told."""


def register_dataset(
    name: str, about: About, survey: Callable[[Path, str | None], PairedDataset]
) -> None:
    """Give a data set of your own a name, which `load_dataset` and ``--dataset`` then take.

    It is known in this process. For the command line and worker processes let an installed package
    do it, see `primaps.extensions`.

    Args:
        name: Small letters, digits, _ and -.
        about: What `primaps check` and `primaps list` say about it.
        survey: Opens what there is of a split, given root and split.

    Raises:
        ConfigError: If the name is taken, or has another form.
    """
    former = _REGISTERED.get(name)
    check_registration(
        "a data set", name, survey, own=tuple(DATASETS), former=former and former.survey
    )
    _REGISTERED[name] = RegisteredDataset(about, survey)


def dataset_names() -> tuple[str, ...]:
    """Names of all data sets: those of this package, then registered ones.

    Raises:
        ConfigError: If an extension cannot be imported.
    """
    load_extensions()
    return (*DATASETS, *_REGISTERED)


def load_dataset(
    name: str, root: str | os.PathLike[str], split: str | None = None
) -> LabelledDataset:
    """Open a labelled data set.

    Args:
        name: One of `dataset_names`.
        root: Its folder; ``~`` is the user's.
        split: "train", "val", ...; None for a ``folder`` without splits. `describe_dataset` lists
            the splits.

    Raises:
        ConfigError: If the name is unknown, or the root is no path.
        DatasetError: If the folder, the split, an image or a label image is missing, or the split
            is empty.
    """
    return dataset_module(name).load(given_path("root", root), split)


def describe_dataset(name: str) -> About:
    """What is published about a data set.

    Args:
        name: One of `dataset_names`.

    Raises:
        ConfigError: If the name is unknown.
    """
    return dataset_module(name).ABOUT


def dataset_title(name: str) -> str:
    """What a data set is called in tables; one that is not known goes by its own name."""
    return (
        describe_dataset(name).short if name in DATASETS or name in dataset_names() else ""
    ) or name


def dataset_module(name: str) -> DatasetModule:
    """The module of a data set.

    Args:
        name: One of `dataset_names`.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name not in DATASETS:
        known = dataset_names()
        if name in _REGISTERED:
            return _REGISTERED[name]
        hint = did_you_mean(name, known)
        raise ConfigError(
            f"Expected the name of a data set, but got {name!r}.{hint} Choose one of"
            f" {', '.join(known)}."
        )
    module: Any = importlib.import_module(DATASETS[name])
    checked: DatasetModule = module
    return checked
