"""Datumaro: ``images/<split>/<name>`` and ``annotations/<split>.json``; without a split, the one
there is is called ``default``.

A mask per class and image, as COCO's compressed RLE. (open-edge-platform.github.io/datumaro,
"Datumaro format")
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import stream_object
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import class_regions
from primaps.outputs.export.rle import coco_rle
from primaps.outputs.export.target import Target

_DEFAULT: Final = "default"
_IMAGES: Final = 2
"""Datumaro's number for data sets of images."""


class Datumaro:
    """Datumaro; see the module's text."""

    passes = 1

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._number = {each.id: number for number, each in enumerate(classes.classes)}

    def add(self, image: ExportImage) -> list[dict[str, Any]]:
        """Copy the photograph; the masks go to the lists."""
        masks = [
            {
                "id": number,
                "type": "mask",
                "attributes": {},
                "group": 0,
                "label_id": self._number[region.class_id],
                "rle": coco_rle(region, image.size),
                "z_order": 0,
            }
            for number, region in enumerate(class_regions(image.label_map()), start=1)
        ]
        split = image.split if self._options.splits else _DEFAULT
        self._target.photograph(image, f"images/{split}/{image.name}")
        return masks

    def finish(self, records: Records) -> None:
        """Write one list per split."""
        for split, _ in self._options.parts():
            members = {
                "dm_format_version": "1.0",
                "media_type": _IMAGES,
                "infos": {},
                "categories": self._categories(),
                "items": _items(records, split),
            }
            stream_object(self._target, f"annotations/{split or _DEFAULT}.json", members)

    def _categories(self) -> dict[str, Any]:
        labels = [
            {"name": each.name, "parent": "", "attributes": []} for each in self._classes.classes
        ]
        colours = [
            {"label_id": number, "r": each.colour[0], "g": each.colour[1], "b": each.colour[2]}
            for number, each in enumerate(self._classes.classes)
        ]
        return {
            "label": {"labels": labels, "attributes": [], "label_groups": []},
            "mask": {"colormap": colours},
        }


def _items(records: Records, split: str | None) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records(split)):
        image = record.image
        yield {
            "id": image.stem,
            "annotations": record.content,
            "attr": {"frame": number},
            "image": {"path": image.name, "size": [image.height, image.width]},
        }
