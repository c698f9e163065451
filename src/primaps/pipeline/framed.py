"""Photographs as a run reads them: values, bands and pages by its settings, and the part that is
worked on.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primaps.config import Config, InputConfig, part_from_record
from primaps.data.framing import crop_image
from primaps.data.reading import Photo, read_photo
from primaps.runs.run import RunFolder
from primaps.types import ImageFile


def photo_of(image: ImageFile, config: Config, max_pixels: int, *, damage: bool = False) -> Photo:
    """Read a whole photograph.

    Args:
        image: The image.
        config: Of the run.
        max_pixels: Upper bound on the pixels of the result.
        damage: Note what is wrong with the data of a JPEG.

    Raises:
        ImageError: If it cannot be read.
    """
    return read_photo(image.path, max_pixels, inputs=config.inputs, page=image.page, damage=damage)


def framed_photo(image: ImageFile, config: Config, *, damage: bool = False) -> Photo:
    """Read a photograph as `primaps.config.FeatureConfig.framing` says: whole, or its square centre
    crop.

    Args:
        image: The image.
        config: Of the run.
        damage: As for `photo_of`.

    Raises:
        ImageError: If it cannot be read.
    """
    if config.features.framing == "whole":
        return photo_of(image, config, config.predict.max_pixels, damage=damage)
    side = config.features.size
    photo = photo_of(image, config, sys.maxsize, damage=damage)
    ignored = None
    return dataclasses.replace(
        photo, image=crop_image(photo.image, side), height=side, width=side, ignored=ignored
    )


def image_entry(image: ImageFile) -> dict[str, Any]:
    """Where an image lies, JSON-ready; `listed_image` reads it back."""
    entry: dict[str, Any] = {"path": str(image.path.absolute())}
    return entry if image.page is None else {**entry, "page": image.page}


def listed_image(name: str, entry: Mapping[str, Any]) -> ImageFile:
    """The image of an entry of a list of images."""
    return ImageFile(Path(os.fsdecode(entry["path"])), name, entry.get("page"))


def inputs_of(folder: RunFolder) -> InputConfig:
    """How files became photographs in a folder.

    Raises:
        ConfigError: If its record has a setting that this version does not know.
    """
    known = folder.record.get("config", {}).get("inputs", {})
    inputs: InputConfig = part_from_record("inputs", known)
    return inputs
