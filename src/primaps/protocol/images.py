"""The images of a row: files to fit to, and files with labels to measure on."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.config import Config
from primaps.data.dataset import LabelledDataset, load_dataset
from primaps.data.framing import crop_image, crop_labels, crop_values
from primaps.data.reading import read_photo
from primaps.errors import ConfigError, DatasetError, ImageError
from primaps.pipeline.features_and_proposals import as_image
from primaps.pipeline.sampling import evenly
from primaps.protocol.row import Row
from primaps.types import FeatureExtractor, Image, ImageFile


@dataclass(frozen=True)
class Part:
    """Some images of a split.

    Attributes:
        dataset: The split.
        indices: Index in the split, by image name.
        files: The images, in the order of the split.
    """

    dataset: LabelledDataset
    indices: dict[str, int]
    files: tuple[ImageFile, ...]


def open_parts(row: Row, root: Path) -> tuple[Part, Part]:
    """The images to fit to and the images to measure on.

    Args:
        row: Data set, splits and limit.
        root: Folder of the data set.

    Raises:
        ConfigError: If the data set is unknown, or the root is no folder.
        DatasetError: If a split is missing, or the two splits have other classes.
    """
    if not root.is_dir():
        raise ConfigError(
            f"Expected --root to be the folder of the data set, but {root} is no folder."
        )
    train, test = (load_dataset(row.dataset, root, split) for split in (row.train_split, row.split))
    if train.class_names != test.class_names:
        raise DatasetError(
            f"Expected both splits of {row.dataset} to have the same classes, but {row.train_split}"
            f" has {len(train.class_names)} and {row.split} has {len(test.class_names)}. Name all"
            f" classes in {root / 'classes.txt'}."
        )
    return _part(train, row.limit), _part(test, row.limit)


def _part(dataset: LabelledDataset, limit: int | None) -> Part:
    paths = dataset.image_paths
    folder = Path(os.path.commonpath([path.parent for path in paths]))
    chosen = evenly(len(paths), len(paths) if limit is None else limit)
    names = {paths[index].relative_to(folder).as_posix(): index for index in chosen}
    return Part(
        dataset, names, tuple(ImageFile(paths[index], name) for name, index in names.items())
    )


def framed_labels(part: Part, name: str, config: Config, *, measured: bool) -> NDArray[np.int64]:
    """(side, side) int64 class ids of one image, read from the data set.

    Args:
        part: Where the image belongs.
        name: Its name.
        config: Side, and interpolation of test images.
        measured: Framed as a test image; otherwise as a training image.

    Raises:
        ImageError: If a file cannot be read, sizes differ, or an id is unknown; the message names
            the file.
    """
    try:
        labels = part.dataset[part.indices[name]].labels
    except ImageError:
        raise
    except DatasetError as error:
        raise ImageError(str(error)) from error  # of one image among many: reported and skipped
    return crop_labels(
        labels, config.protocol.interpolation if measured else "pillow", config.features.size
    )


def measured_input(photo: Image, backbone: FeatureExtractor, config: Config) -> torch.Tensor:
    """A test image as the backbone sees it.

    Args:
        photo: (H, W, 3) uint8 RGB, whole.
        backbone: The frozen feature extractor.
        config: Side and interpolation.

    Returns:
        (1, 3, side, side) float32, normalised, on the backbone's device.
    """
    if config.protocol.interpolation == "pillow":
        return backbone.preprocess(crop_image(photo, config.features.size), config.features.size)
    values = crop_values(photo, "tensor", config.features.size).to(backbone.device)
    mean, std = (
        torch.tensor(numbers, device=values.device)[:, None, None]
        for numbers in (backbone.mean, backbone.std)
    )
    return ((values - mean) / std)[None]


def measured_picture(image: ImageFile, backbone: FeatureExtractor, config: Config) -> Image:
    """(side, side, 3) uint8 RGB of a test image, as the CRF sees it: in the way "tensor" grey
    levels are rounded down.
    """
    values = measured_input(read_photo(image.path, sys.maxsize).image, backbone, config)
    return as_image(values, backbone, round_down=config.protocol.interpolation == "tensor")
