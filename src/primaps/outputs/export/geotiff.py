"""GeoTIFF: ``images/<name>`` and ``labels/<stem>.tif`` (below ``train/`` and so on with a split),
and ``classes.csv``.

One band of class ids, 255 (nodata) where unlabelled, with the colours of the classes as colour
table and their names as tags ``CLASS_<id>`` of the band. Transform and reference system are those
of the photograph; a photograph without a transform gives a TIFF without both. (GeoTIFF 1.1)
"""

from __future__ import annotations

import csv
import io
import warnings

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.georeference import Georeference, read_georeference, require_rasterio
from primaps.outputs.export.target import Target
from primaps.types import IGNORE_INDEX


class GeoTiff:
    """GeoTIFF; see the module's text."""

    passes = 0

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        require_rasterio("GeoTIFF")
        self._target, self._classes, self._options = target, classes, options

    def add(self, image: ExportImage) -> None:
        """Copy the photograph and write its label map."""
        folder = self._options.folder(image)
        data = self._encoded(image.label_map(), read_georeference(image))
        self._target.write(f"{folder}labels/{image.stem}.tif", data)
        self._target.photograph(image, f"{folder}images/{image.name}")

    def finish(self, records: Records) -> None:  # noqa: ARG002 - there is no list of images
        """Write the table of classes."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["id", "name", "red", "green", "blue"])
        rows.writerows([each.id, each.name, *each.colour] for each in self._classes.classes)
        self._target.write("classes.csv", text.getvalue().encode())

    def _encoded(self, label_map: NDArray[np.uint8], place: Georeference | None) -> bytes:
        from rasterio.errors import NotGeoreferencedWarning
        from rasterio.io import MemoryFile

        height, width = label_map.shape
        profile = {
            "driver": "GTiff",
            "height": height,
            "width": width,
            "count": 1,
            "dtype": "uint8",
            "nodata": IGNORE_INDEX,
            "compress": "deflate",
        }
        if place is not None:
            profile |= {"transform": place.transform, "crs": place.crs}
        with MemoryFile() as memory:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with memory.open(**profile) as raster:
                    raster.write(label_map, 1)
                    colours = {each.id: (*each.colour, 255) for each in self._classes.classes}
                    raster.write_colormap(1, {**colours, IGNORE_INDEX: (0, 0, 0, 0)})
                    names = {f"CLASS_{each.id}": each.name for each in self._classes.classes}
                    raster.update_tags(1, **names)
            data: bytes = memory.read()
        return data
