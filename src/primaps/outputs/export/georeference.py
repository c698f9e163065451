"""Where on earth a photograph lies, by its file."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from primaps.errors import ImageError, MissingExtraError
from primaps.outputs.export.exporter import ExportImage

if TYPE_CHECKING:
    from affine import Affine

_TAGS: Final = (33550, 33922, 34264, 34735)
"""Pixel scale, tie points, transformation and key directory of a TIFF (GeoTIFF 1.1, 7.1)."""


@dataclass(frozen=True)
class Georeference:
    """Pixels to places.

    Attributes:
        transform: From column and row (the left upper corner of a pixel is whole) to coordinates.
        crs: Their reference system; None if the file names none.
    """

    transform: Affine
    crs: Any


def require_rasterio(what: str) -> None:
    """Make sure that georeferences can be read and written.

    Args:
        what: What needs it, as the subject of a clause.

    Raises:
        MissingExtraError: If the package rasterio is not installed.
    """
    if not has_rasterio():
        raise MissingExtraError(
            f"Expected the package rasterio, which {what} needs, but it is not installed. Install"
            " it with: pip install 'primaps[geo]'"
        )


def has_rasterio() -> bool:
    """Whether the package rasterio is installed."""
    return importlib.util.find_spec("rasterio") is not None


def has_georeference_tags(image: ExportImage) -> bool:
    """Whether a photograph is a TIFF that says where it lies; needs no further package."""
    try:
        with PILImage.open(image.path) as picture:
            tags = getattr(picture, "tag_v2", {})
            return any(tag in tags for tag in _TAGS)
    except (OSError, UnidentifiedImageError, PILImage.DecompressionBombError):
        return False


def read_georeference(image: ExportImage) -> Georeference | None:
    """The georeference of a photograph; None if there is none that can be used.

    A reference system without a transform places nothing, and would claim that pixels are metres:
    it counts as none. So does that of a photograph which lies turned in its file.

    Args:
        image: The image.

    Raises:
        ImageError: If the file says that it has one, and it cannot be read.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

    if image.turned:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(image.path) as source:
                transform, crs = source.transform, source.crs
    except RasterioIOError as error:
        if has_georeference_tags(image):
            raise ImageError(
                f"Expected the georeference of {image.path} to be readable, but got: {error}."
            ) from error
        return None
    return None if transform.is_identity else Georeference(transform, crs)
