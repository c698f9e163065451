"""Labelled data sets behind one protocol, and the registry of their names."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from primaps.config import did_you_mean
from primaps.data.about import About
from primaps.errors import ConfigError
from primaps.types import Image

DATASETS: Final[Mapping[str, str]] = MappingProxyType(
    {
        name: f"primaps.data.{name}"
        for name in ("cityscapes", "cocostuff", "potsdam", "camvid", "folder")
    }
)
"""Names of the data sets and the modules that load them; each has ``load(root, split) ->
LabelledDataset`` and ``ABOUT``, and those whose classes are published have ``CLASS_COLOURS``.
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


class _Module(Protocol):
    ABOUT: About

    def load(self, root: Path, split: str | None) -> LabelledDataset: ...


def load_dataset(
    name: str, root: str | os.PathLike[str], split: str | None = None
) -> LabelledDataset:
    """Open a labelled data set.

    Args:
        name: One of `DATASETS`.
        root: Its folder.
        split: "train", "val", ...; None for a ``folder`` without splits. `describe_dataset` lists
            the splits.

    Raises:
        ConfigError: If the name is unknown.
        DatasetError: If the folder, the split, an image or a label image is missing, or the split
            is empty.
    """
    module: _Module = dataset_module(name)
    return module.load(Path(root), split)


def describe_dataset(name: str) -> About:
    """What is published about a data set.

    Args:
        name: One of `DATASETS`.

    Raises:
        ConfigError: If the name is unknown.
    """
    module: _Module = dataset_module(name)
    return module.ABOUT


def dataset_module(name: str) -> Any:
    """The module of a data set.

    Args:
        name: One of `DATASETS`.

    Raises:
        ConfigError: If the name is unknown.
    """
    if name not in DATASETS:
        hint = did_you_mean(name, list(DATASETS))
        raise ConfigError(
            f"Expected the name of a data set, but got {name!r}.{hint} Choose one of"
            f" {', '.join(DATASETS)}."
        )
    return importlib.import_module(DATASETS[name])
