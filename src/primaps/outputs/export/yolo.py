"""YOLO segmentation: ``images/<split>/<file>``, ``labels/<split>/<stem>.txt`` and ``data.yaml``;
everything in ``train`` without a split.

A row per connected region: the number of the class, then x and y of one polygon as shares of width
and height. Holes are cut out along seams without width, as ultralytics joins the parts of an
object. The polygon runs inside the outermost pixels, so that ultralytics, which cuts off decimals
and paints the outline as well (``fillPoly``), gets the pixels back exactly. An image without
regions has an empty file: it is background. No folder ``masks`` lies beside ``images``. Where a
photograph lies below another folder ``images``, its labels are where ultralytics looks for them: in
place of the last such folder. (docs.ultralytics.com, "Instance segmentation datasets")
"""

from __future__ import annotations

import json

import numpy as np

from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.regions import connected_regions
from primaps.outputs.export.rings import INSET, cut_polygon, region_rings
from primaps.outputs.export.splitting import WHOLE
from primaps.outputs.export.target import Target


class Yolo:
    """YOLO segmentation; see the module's text."""

    passes = 0

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        self._target, self._classes, self._options = target, classes, options
        self._number = {each.id: number for number, each in enumerate(classes.classes)}

    def add(self, image: ExportImage) -> None:
        """Copy the photograph and write its polygons."""
        scale = np.array([image.width, image.height])
        rows = []
        for region in connected_regions(image.label_map()):
            points = cut_polygon(region_rings(region), INSET) / scale
            numbers = " ".join(f"{value:.7f}" for value in points.ravel().tolist())
            rows.append(f"{self._number[region.class_id]} {numbers}\n")
        split = image.split if self._options.splits else WHOLE
        before, _, after = f"/images/{split}/{image.stem}.txt".rpartition("/images/")
        labels = f"{before}/labels/{after}".removeprefix("/")
        self._target.write(labels, "".join(rows).encode("ascii"))
        self._target.photograph(image, f"images/{split}/{image.file}")

    def finish(self, records: Records) -> None:  # noqa: ARG002 - ultralytics lists the folders
        """Write ``data.yaml``. Both train and val must be there: without one, it is train."""
        splits = self._options.splits or (WHOLE,)
        validation = "val" if "val" in splits else WHOLE
        lines = [f"train: images/{WHOLE}", f"val: images/{validation}"]
        lines += ["test: images/test"] if "test" in splits else []
        lines.append("names:" if len(self._classes) else "names: {}")
        for number, each in enumerate(self._classes.classes):
            # a string of JSON is one of YAML, with quotes and all
            lines.append(f"  {number}: {json.dumps(each.name, ensure_ascii=False)}")
        self._target.write("data.yaml", ("\n".join(lines) + "\n").encode())
