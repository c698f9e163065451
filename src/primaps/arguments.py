"""What callers give to a `primaps.Segmenter`, as it is needed: backbones and images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from primaps.data.dataset import LabelledDataset
from primaps.errors import ConfigError, DatasetError
from primaps.given import from_home
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
        return [from_home(os.fspath(each)) for each in given]
    except TypeError as error:
        raise DatasetError(
            "Expected images as paths of files or folders, patterns, or a data set, but got"
            f" {type(images).__name__}. Write arrays to files first, or give each to predict(...)."
        ) from error
