"""What callers give to a `primaps.Segmenter`, as it is needed: plain paths, names and numbers."""

from __future__ import annotations

import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

from primaps.data.dataset import LabelledDataset
from primaps.data.paths import from_home
from primaps.errors import ConfigError, DatasetError
from primaps.types import FeatureExtractor


def backbone_of(backbone: object) -> str:
    """The name of a backbone, or of one that is to be loaded.

    Raises:
        ConfigError: If it is neither a name nor a backbone.
    """
    if isinstance(backbone, str):
        return backbone
    if isinstance(backbone, FeatureExtractor):
        return backbone.name
    raise ConfigError(
        "Expected a backbone: a name such as 'efficientnet_lite0', or what primaps.load_backbone"
        f" gives, but got {type(backbone).__name__}."
    )


def whole_number(name: str, value: object) -> int:
    """A whole number of any type, such as NumPy's.

    Raises:
        ConfigError: If it is none.
    """
    if not isinstance(value, SupportsIndex) or isinstance(value, bool):
        also = " or 'auto'" if name == "num_clusters" else ""
        raise ConfigError(f"Expected {name} to be a whole number{also}, but got {value!r}.")
    return operator.index(value)


def image_paths(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | LabelledDataset,
) -> list[str | Path]:
    """The files, folders and patterns that a caller gives as one, as several or as a data set.

    Raises:
        DatasetError: If they are something else.
    """
    if isinstance(images, str | os.PathLike):
        images = [images]
    given: Any = images.image_paths if isinstance(images, LabelledDataset) else images
    try:
        return [from_home(each) for each in given]
    except TypeError as error:
        raise DatasetError(
            "Expected images as paths of files or folders, patterns, or a data set, but got"
            f" {type(images).__name__}. Write arrays to files first, or give each to predict(...)."
        ) from error


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path in which ``~`` stands for the user's home folder, unless there is a file of that
    name.
    """
    return Path(from_home(path))
