"""FiftyOne's ``ImageSegmentationDirectory``: ``data/<file>`` and ``labels/<stem>.png`` with equal
stems (below ``train/`` and so on with a split), and ``mask_targets.json``.

Mask values are 1, 2, ... in the order of the classes; 0 is unlabelled, which FiftyOne leaves
unpainted. Masks are grey, for FiftyOne would read the colours of an indexed one.
``mask_targets.json`` names the values: pass its content, with whole numbers as keys, as
``mask_targets`` of a dataset. (docs.voxel51.com, "ImageSegmentationDirectory")
"""

from __future__ import annotations

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.documents import grey_png, to_json
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.target import Target


class FiftyOne:
    """FiftyOne; see the module's text."""

    passes = 0

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._table = classes.numbered(1, 0)

    def add(self, image: ExportImage) -> None:
        """Copy the photograph and write its mask."""
        folder = self._options.folder(image)
        mask = grey_png(self._table[image.label_map()])
        self._target.write(f"{folder}labels/{image.stem}.png", mask)
        self._target.photograph(image, f"{folder}data/{image.file}")

    def finish(self, records: Records) -> None:  # noqa: ARG002 - there is no list of images
        """Write what the mask values mean."""
        names = {str(value): each.name for value, each in enumerate(self._classes.classes, start=1)}
        self._target.write("mask_targets.json", to_json(names) + b"\n")
