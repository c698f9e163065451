"""Pascal VOC segmentation: ``JPEGImages/<file>``, ``SegmentationClass/<stem>.png``,
``ImageSets/Segmentation/<split>.txt`` (``trainval.txt`` without a split) and ``labelmap.txt``.

Masks are indexed PNGs with a palette. Index 0 is the background, which comes first in the label map
and has no pixels here; classes follow from 1 on in the order of the label map; 255 is void, as in
VOC 2012, and means unlabelled. Void stands at the end of the label map as ``ignored`` if it occurs,
for readers that look colours up. Photographs keep their format: JPEGs stay JPEGs, PNGs PNGs.
(VOC 2012 development kit; the label map is that of CVAT and Datumaro.)
"""

from __future__ import annotations

from typing import Final

import numpy as np

from primaps.errors import ConfigError
from primaps.outputs.export.classes import Colour, ExportClasses
from primaps.outputs.export.documents import indexed_png
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Records
from primaps.outputs.export.target import Target
from primaps.types import IGNORE_INDEX

VOID: Final[Colour] = (224, 224, 192)
_BACKGROUND: Final[Colour] = (0, 0, 0)
_COLON: Final = "\N{FULLWIDTH COLON}"
_HASH: Final = "\N{FULLWIDTH NUMBER SIGN}"


class Voc:
    """Pascal VOC; see the module's text."""

    passes = 1

    def __init__(self, target: Target, classes: ExportClasses, options: ExportOptions) -> None:
        if len(classes) >= IGNORE_INDEX:
            raise ConfigError(
                f"Expected at most {IGNORE_INDEX - 1} classes, beside background and void, in a"
                f" mask of Pascal VOC, but got {len(classes)}. Merge or ignore some."
            )
        self._target, self._options = target, options
        self._classes = classes.apart_from([VOID])
        self._table = classes.numbered(1, IGNORE_INDEX)
        colours = [_BACKGROUND, *(each.colour for each in self._classes.classes)]
        self._colours = {**dict(enumerate(colours)), IGNORE_INDEX: VOID}

    def add(self, image: ExportImage) -> bool:
        """Copy the photograph and write its mask; gives back whether there is void in it."""
        mask = self._table[image.label_map()]
        self._target.write(f"SegmentationClass/{image.stem}.png", indexed_png(mask, self._colours))
        self._target.photograph(image, f"JPEGImages/{image.file}")
        return bool(np.any(mask == IGNORE_INDEX))

    def finish(self, records: Records) -> None:
        """Write the lists of images and the label map."""
        void = False
        for split, _ in self._options.parts():
            name = f"ImageSets/Segmentation/{split or 'trainval'}.txt"
            with self._target.stream(name) as stream:
                for record in records(split):
                    stream.write(f"{record.image.stem}\n".encode())
                    void = void or record.content
        rows = [("background", _BACKGROUND)]
        rows += [(label_name(each.name), each.colour) for each in self._classes.classes]
        rows += [("ignored", VOID)] if void else []
        lines = ["# label:color_rgb:parts:actions"]
        lines += [f"{name}:{red},{green},{blue}::" for name, (red, green, blue) in rows]
        self._target.write("labelmap.txt", ("\n".join(lines) + "\n").encode())


def label_name(name: str) -> str:
    """A name without what the label map gives another meaning: colons, and a hash in front."""
    plain = name.replace(":", _COLON)
    return plain.replace("#", _HASH, 1) if plain.startswith("#") else plain


def name_of_label(label: str) -> str:
    """The name that a label most probably stands for: the inverse of `label_name`."""
    plain = label.replace(_COLON, ":")
    return plain.replace(_HASH, "#", 1) if plain.startswith(_HASH) else plain
