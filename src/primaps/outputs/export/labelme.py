"""LabelMe: ``<file>`` and ``<stem>.json`` side by side (below ``train/`` and so on with a split),
and ``labels.txt``.

A polygon per connected region, with holes cut out along seams without width, since shapes of
LabelMe have none. The polygon runs inside the outermost pixels, so that LabelMe's own conversion to
masks, which paints the outline as well, gets the pixels back exactly. ``imageData`` is null: the
photograph is read from its file. (github.com/wkentaro/labelme)
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import to_json
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import connected_regions
from primaps.outputs.export.rings import INSET, cut_polygon, region_rings
from primaps.outputs.export.target import Target


class LabelMe:
    """LabelMe; see the module's text."""

    passes = 0

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._names = {each.id: each.name for each in classes.classes}

    def add(self, image: ExportImage) -> None:
        """Copy the photograph and write its shapes."""
        shapes = [
            {
                "label": self._names[region.class_id],
                "points": cut_polygon(region_rings(region), INSET).round(2).tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for region in connected_regions(image.label_map())
        ]
        document: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": PurePosixPath(image.file).name,
            "imageData": None,
            "imageHeight": image.height,
            "imageWidth": image.width,
        }
        folder = self._options.folder(image)
        self._target.write(f"{folder}{image.stem}.json", to_json(document) + b"\n")
        self._target.photograph(image, f"{folder}{image.file}")

    def finish(self, records: Records) -> None:  # noqa: ARG002 - there is no list of images
        """Write the names of the classes."""
        lines = "".join(f"{each.name}\n" for each in self._classes.classes)
        self._target.write("labels.txt", lines.encode())
