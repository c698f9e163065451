"""The formats of exports, by name; a format is imported when it is used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.extensions import check_registration, load_extensions

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

_REGISTERED: Final[dict[str, MakeExporter]] = {}
"""By name: what `register_export` was told."""


def register_export(name: str, make: MakeExporter) -> None:
    """Give an export format of your own a name, which ``--format`` then takes.

    It is known in this process. For the command line let an installed package do it, see
    `primaps.extensions`.

    Args:
        name: Small letters, digits, _ and -.
        make: A class that follows `primaps.outputs.export.exporter.Exporter`.

    Raises:
        ConfigError: If the name is taken, or has another form.
    """
    former = _REGISTERED.get(name)
    check_registration("an export", name, make, own=(*_HOMES, PORTABLE), former=former)
    _REGISTERED[name] = make


def find_exporter(name: str) -> MakeExporter:
    """What makes the exporter of a format.

    Raises:
        ConfigError: If there is no format of this name, or the name is not of this package, and
            an extension cannot be imported.
    """
    if name not in _HOMES:
        load_extensions()
        if name in _REGISTERED:
            return _REGISTERED[name]
        known = (*FORMATS, *_REGISTERED, PORTABLE)
        raise ConfigError(
            f"Expected --format to be one of {', '.join(known)}, but got {name!r}."
            f"{did_you_mean(name, known)}"
        )
    module, attribute = _HOMES[name]
    home = importlib.import_module(f"primaps.outputs.export.{module}")
    return cast("MakeExporter", getattr(home, attribute))
