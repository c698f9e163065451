"""COCO-Stuff: ``images/<name>``, ``annotations/stuff.json`` (``stuff_train.json`` and so on with a
split) and ``pixelmaps/<stem>.png``.

One annotation per class and image, as compressed RLE. Pixel maps hold the category (class id plus
1), 0 where unlabelled. (cocodataset.org, "Stuff segmentation")
"""

from __future__ import annotations

from typing import Any

import numpy as np

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.coco import category_entries, image_entries, numbered_annotations
from primaps.outputs.export.documents import indexed_png, stream_object
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import class_regions
from primaps.outputs.export.rle import coco_rle
from primaps.outputs.export.target import Target


class CocoStuff:
    """COCO-Stuff; see the module's text."""

    passes = 2

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._colours = {each.id + 1: each.colour for each in classes.classes}

    def add(self, image: ExportImage) -> list[dict[str, Any]]:
        """Copy the photograph and write its pixel map; the annotations go to the lists."""
        label_map = image.label_map()
        annotations = [
            {
                "category_id": region.class_id + 1,
                "segmentation": coco_rle(region, image.size),
                "area": region.area,
                "bbox": region.box,
                "iscrowd": 0,
            }
            for region in class_regions(label_map)
        ]
        # 255 becomes 0
        pixels = label_map + np.uint8(1)
        self._target.write(f"pixelmaps/{image.stem}.png", indexed_png(pixels, self._colours))
        self._target.photograph(image, f"images/{image.name}")
        return annotations

    def finish(self, records: Records) -> None:
        """Write one list per split."""
        for split, ending in self._options.parts():
            members = {
                "images": image_entries(records, split),
                "annotations": numbered_annotations(records, split),
                "categories": category_entries(self._classes),
            }
            stream_object(self._target, f"annotations/stuff{ending}.json", members)
