"""The formats of exports, by name; a format is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

from primaps.config import did_you_mean
from primaps.errors import ConfigError

if TYPE_CHECKING:
    from primaps.outputs.export.exporter import MakeExporter

_HOMES: Final = {
    "coco": ("coco", "Coco"),
    "coco-stuff": ("coco_stuff", "CocoStuff"),
    "panoptic": ("panoptic", "Panoptic"),
    "voc": ("voc", "Voc"),
    "yolo": ("yolo", "Yolo"),
    "cvat": ("cvat", "Cvat"),
    "datumaro": ("datumaro", "Datumaro"),
    "label-studio": ("label_studio", "LabelStudio"),
    "labelme": ("labelme", "LabelMe"),
    "hf": ("hf", "HuggingFace"),
    "fiftyone": ("fiftyone", "FiftyOne"),
    "geotiff": ("geotiff", "GeoTiff"),
    "geojson": ("geojson", "GeoJson"),
}

FORMATS: Final = tuple(_HOMES)
"""Names of the formats."""
OUTLINES: Final = ("coco",)
"""Those that hold masks, or outlines on request."""
PORTABLE: Final = "onnx"
"""No data set but the model itself, see `primaps.pipeline.portable`."""


def find_exporter(name: str) -> MakeExporter:
    """What makes the exporter of a format.

    Raises:
        ConfigError: If there is no format of this name.
    """
    if name not in _HOMES:
        known = (*FORMATS, PORTABLE)
        raise ConfigError(
            f"Expected --format to be one of {', '.join(known)}, but got {name!r}."
            f"{did_you_mean(name, known)}"
        )
    module, attribute = _HOMES[name]
    home = importlib.import_module(f"primaps.outputs.export.{module}")
    return cast("MakeExporter", getattr(home, attribute))
