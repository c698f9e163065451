"""The part of a photograph that is worked on."""

from __future__ import annotations

import dataclasses
import sys

from primaps.config import Config
from primaps.data.framing import crop_image
from primaps.data.reading import Photo, read_photo
from primaps.types import ImageFile


def framed_photo(image: ImageFile, config: Config) -> Photo:
    """Read a photograph as `primaps.config.FeatureConfig.framing` says: whole, or its square centre
    crop.

    Raises:
        ImageError: If it cannot be read.
    """
    if config.features.framing == "whole":
        return read_photo(image.path, config.predict.max_pixels)
    side = config.features.size
    photo = read_photo(image.path, sys.maxsize)
    return dataclasses.replace(photo, image=crop_image(photo.image, side), height=side, width=side)
