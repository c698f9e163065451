"""CVAT for images 1.1: ``images/<name>`` and ``annotations.xml`` (``train.xml`` and so on with a
split).

A mask per connected region. Its run lengths go along the rows of its box, pixels outside first.
(docs.cvat.ai, "CVAT for image")
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Record, Records
from primaps.outputs.export.regions import connected_regions
from primaps.outputs.export.rle import row_counts
from primaps.outputs.export.target import Target


class Cvat:
    """CVAT for images; see the module's text."""

    passes = 1

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._names = {each.id: each.name for each in classes.classes}

    def add(self, image: ExportImage) -> list[Any]:
        """Copy the photograph; the masks go to the lists."""
        masks = [
            [region.class_id, *region.box, row_counts(region.mask)]
            for region in connected_regions(image.label_map())
        ]
        self._target.photograph(image, f"images/{image.name}")
        return masks

    def finish(self, records: Records) -> None:
        """Write one document per split."""
        for split, _ in self._options.parts():
            with self._target.stream(f"{split or 'annotations'}.xml") as stream:
                stream.write(self._head().encode())
                for number, record in enumerate(records(split)):
                    stream.write(self._image(number, record, split).encode())
                stream.write(b"</annotations>\n")

    def _head(self) -> str:
        labels = "".join(
            f"        <label>\n          <name>{escape(each.name)}</name>\n"
            f"          <color>{each.hexadecimal}</color>\n          <type>mask</type>\n"
            "          <attributes></attributes>\n        </label>\n"
            for each in self._classes.classes
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
            "  <meta>\n    <task>\n      <name>primaps</name>\n      <mode>annotation</mode>\n"
            f"      <labels>\n{labels}      </labels>\n    </task>\n  </meta>\n"
        )

    def _image(self, number: int, record: Record, split: str | None) -> str:
        image = record.image
        subset = f' subset="{split}"' if split else ""
        head = f'  <image id="{number}" name={quoteattr(image.name)}{subset}'
        lines = [f'{head} width="{image.width}" height="{image.height}">\n']
        for class_id, left, top, width, height, counts in record.content:
            lines.append(
                f'    <mask label={quoteattr(self._names[class_id])} source="auto" occluded="0"'
                f' rle="{", ".join(map(str, counts))}" left="{left}" top="{top}" width="{width}"'
                f' height="{height}" z_order="0">\n    </mask>\n'
            )
        return "".join([*lines, "  </image>\n"])
