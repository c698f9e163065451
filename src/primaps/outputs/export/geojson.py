"""GeoJSON: ``images/<name>`` and ``labels/<stem>.geojson`` (below ``train/`` and so on with a
split).

A polygon with its holes per connected region, with the id, name and colour of its class as
properties. Where the photograph has a georeference, coordinates are degrees of longitude and
latitude (WGS 84), as RFC 7946 demands. Where it has none, or a transform without a reference
system, the member ``coordinates`` of the collection says ``pixels`` (x to the right, y down) or
``transformed``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import to_json
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.georeference import (
    Georeference,
    has_georeference_tags,
    has_rasterio,
    read_georeference,
    require_rasterio,
)
from primaps.outputs.export.regions import Region, connected_regions
from primaps.outputs.export.rings import region_rings, simple_rings
from primaps.outputs.export.target import Target

Points: TypeAlias = NDArray[np.float64]
"""(n, 2) float64 x and y."""


class GeoJson:
    """GeoJSON; see the module's text."""

    passes = 0

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._options = target, options
        self._by_id = classes.by_id()

    def add(self, image: ExportImage) -> None:
        """Copy the photograph and write its polygons.

        Raises:
            MissingExtraError: If the photograph has a georeference, and rasterio is not installed.
        """
        if not has_rasterio() and has_georeference_tags(image):
            require_rasterio(f"the georeference of {image.path}")
        place = read_georeference(image) if has_rasterio() else None
        kind, to_place = _placing(place)
        document: dict[str, Any] = {"type": "FeatureCollection"}
        if kind is not None:
            document["coordinates"] = kind
        document["features"] = [
            self._feature(region, to_place) for region in connected_regions(image.label_map())
        ]
        folder = self._options.folder(image)
        self._target.write(f"{folder}labels/{image.stem}.geojson", to_json(document) + b"\n")
        self._target.photograph(image, f"{folder}images/{image.name}")

    def finish(self, records: Records) -> None:
        """Nothing belongs to all images together."""

    def _feature(self, region: Region, to_place: Callable[[Points], Points]) -> dict[str, Any]:
        outer, holes = simple_rings(region_rings(region))
        rings = [_closed(to_place(outer.astype(np.float64)), anticlockwise=True)]
        rings += [_closed(to_place(hole.astype(np.float64)), anticlockwise=False) for hole in holes]
        each = self._by_id[region.class_id]
        return {
            "type": "Feature",
            "properties": {"id": each.id, "class": each.name, "colour": each.hexadecimal},
            "geometry": {"type": "Polygon", "coordinates": rings},
        }


def _placing(place: Georeference | None) -> tuple[str | None, Callable[[Points], Points]]:
    """What coordinates are, if not degrees, and how corners of pixels become coordinates."""
    if place is None:
        return "pixels", lambda points: points
    transform, crs = place.transform, place.crs

    def transformed(points: Points) -> Points:
        columns, rows = points.T
        x = transform.a * columns + transform.b * rows + transform.c
        y = transform.d * columns + transform.e * rows + transform.f
        return np.column_stack([x, y])

    if crs is None:
        return "transformed", transformed

    def in_degrees(points: Points) -> Points:
        from rasterio.warp import transform as warp

        x, y = transformed(points).T
        return np.column_stack(warp(crs, "OGC:CRS84", x, y)[:2])

    return None, in_degrees


def _closed(points: Points, *, anticlockwise: bool) -> list[list[float]]:
    """A ring that ends where it began, in the wanted sense for x to the right and y up."""
    x, y = points.T
    doubled = float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    ring = points if (doubled > 0) == anticlockwise else points[::-1]
    closed: list[list[float]] = np.concatenate([ring, ring[:1]]).tolist()
    return closed
