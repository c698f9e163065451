"""COCO instances: ``images/<name>`` and ``annotations/instances.json`` (``instances_train.json``
and so on with a split).

One annotation per connected region of a class, as compressed RLE with ``iscrowd`` 0, which
pycocotools and what builds on it read; as polygons on request. A hole is cut out of its polygon
along a seam without width, for a list of polygons is a union in COCO. Categories are numbered from
1 (class id plus 1), since some readers take 0 for background. (cocodataset.org, "Data format")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import stream_object
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import Region, connected_regions
from primaps.outputs.export.rings import cut_polygon, region_rings
from primaps.outputs.export.rle import coco_rle
from primaps.outputs.export.target import Target


class Coco:
    """COCO instances; see the module's text."""

    passes = 2

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options

    def add(self, image: ExportImage) -> list[dict[str, Any]]:
        """Copy the photograph; the annotations go to the lists."""
        annotations = [
            {
                "category_id": region.class_id + 1,
                "segmentation": self._segmentation(region, image.size),
                "area": region.area,
                "bbox": region.box,
                "iscrowd": 0,
            }
            for region in connected_regions(image.label_map())
        ]
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
            stream_object(self._target, f"annotations/instances{ending}.json", members)

    def _segmentation(self, region: Region, size: tuple[int, int]) -> Any:
        if not self._options.polygons:
            return coco_rle(region, size)
        return [cut_polygon(region_rings(region)).ravel().tolist()]


def image_entries(records: Records, split: str | None) -> Iterator[dict[str, Any]]:
    """COCO's ``images``, numbered from 1; ``file_name`` is the relative path with its extension."""
    for number, record in enumerate(records(split), start=1):
        image = record.image
        yield {
            "id": number,
            "file_name": image.name,
            "width": image.width,
            "height": image.height,
        }


def category_entries(classes: ExportClasses) -> list[dict[str, Any]]:
    """COCO's ``categories``."""
    return [{"id": each.id + 1, "name": each.name, "supercategory": ""} for each in classes.classes]


def numbered_annotations(records: Records, split: str | None) -> Iterator[dict[str, Any]]:
    """COCO's ``annotations``, numbered from 1, of what was recorded of every image."""
    number = 0
    for image_number, record in enumerate(records(split), start=1):
        for annotation in record.content:
            number += 1
            yield {"id": number, "image_id": image_number, **annotation}
