"""Label Studio: ``images/<name>``, ``tasks.json`` (``tasks_train.json`` and so on with a split) and
``label_config.xml``.

A brush label per class and image, in the bit-packed RLE of Label Studio's editor, which is not
COCO's. Tasks name photographs as files of a local storage: set
``LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true`` and ``LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`` to
this folder, make a project with ``label_config.xml`` as its labelling interface, add its folder
``images`` as local storage, and import the tasks. (labelstud.io, "Import pre-annotated data",
"Local storage")
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import write_array
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import class_regions
from primaps.outputs.export.rle import brush_rle
from primaps.outputs.export.target import Target


class LabelStudio:
    """Label Studio; see the module's text."""

    passes = 1

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._names = {each.id: each.name for each in classes.classes}

    def add(self, image: ExportImage) -> list[dict[str, Any]]:
        """Copy the photograph; the brush labels go to the lists."""
        results = []
        for region in class_regions(image.label_map()):
            name = self._names[region.class_id]
            key = hashlib.sha256(f"{image.name}\0{region.class_id}".encode()).hexdigest()[:10]
            results.append(
                {
                    "id": key,
                    "type": "brushlabels",
                    "from_name": "tag",
                    "to_name": "image",
                    "original_width": image.width,
                    "original_height": image.height,
                    "image_rotation": 0,
                    "value": {
                        "format": "rle",
                        "rle": brush_rle(region, image.size),
                        "brushlabels": [name],
                    },
                }
            )
        self._target.photograph(image, f"images/{image.name}")
        return results

    def finish(self, records: Records) -> None:
        """Write one list of tasks per split, and the labelling interface."""
        for split, ending in self._options.parts():
            with self._target.stream(f"tasks{ending}.json") as stream:
                write_array(stream, _tasks(records, split))
                stream.write(b"\n")
        labels = "".join(
            f'    <Label value={quoteattr(each.name)} background="{each.hexadecimal}"/>\n'
            for each in self._classes.classes
        )
        config = (
            '<View>\n  <Image name="image" value="$image" zoom="true"/>\n'
            f'  <BrushLabels name="tag" toName="image">\n{labels}  </BrushLabels>\n</View>\n'
        )
        self._target.write("label_config.xml", config.encode())


def _tasks(records: Records, split: str | None) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(records(split), start=1):
        place = quote(f"images/{record.image.name}")
        yield {
            "id": number,
            "data": {"image": f"/data/local-files/?d={place}", "name": record.image.name},
            "annotations": [{"result": record.content}],
        }
