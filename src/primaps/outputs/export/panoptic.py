"""COCO panoptic: ``images/<name>``, ``annotations/panoptic.json`` and the segments of every image
in ``annotations/panoptic/<stem>.png`` (``panoptic_train`` and so on with a split).

A segment is all of a class in an image, for the classes are no countable things (``isthing`` 0).
The colour of a pixel is the id of its segment, R + 256 G + 65536 B; 0 is void, so that black pixels
are unlabelled and no class is black. (cocodataset.org, "Panoptic segmentation")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image as PILImage

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.coco import image_entries
from primaps.outputs.export.documents import png_bytes, stream_object
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import class_regions
from primaps.outputs.export.target import Target


class Panoptic:
    """COCO panoptic; see the module's text."""

    passes = 2

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._by_id = classes.by_id()
        self._table = np.zeros((256, 3), dtype=np.uint8)
        for each in classes.classes:
            self._table[each.id] = each.colour

    def add(self, image: ExportImage) -> list[dict[str, Any]]:
        """Copy the photograph and paint its segments; what they are goes to the lists."""
        label_map = image.label_map()
        segments = []
        for region in class_regions(label_map):
            red, green, blue = self._by_id[region.class_id].colour
            segments.append(
                {
                    "id": red + 256 * green + 65536 * blue,
                    "category_id": region.class_id + 1,
                    "area": region.area,
                    "bbox": region.box,
                    "iscrowd": 0,
                }
            )
        ending = f"_{image.split}" if self._options.splits else ""
        painted = PILImage.fromarray(self._table[label_map])
        self._target.write(f"annotations/panoptic{ending}/{image.stem}.png", png_bytes(painted))
        self._target.photograph(image, f"images/{image.name}")
        return segments

    def finish(self, records: Records) -> None:
        """Write one list per split."""
        categories = [
            {
                "id": each.id + 1,
                "name": each.name,
                "supercategory": "",
                "isthing": 0,
                "color": list(each.colour),
            }
            for each in self._classes.classes
        ]
        for split, ending in self._options.parts():
            members = {
                "images": image_entries(records, split),
                "annotations": _annotations(records, split),
                "categories": categories,
            }
            stream_object(self._target, f"annotations/panoptic{ending}.json", members)


def _annotations(records: Records, split: str | None) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records(split), start=1):
        file_name = f"{record.image.stem}.png"
        yield {"image_id": number, "file_name": file_name, "segments_info": record.content}
