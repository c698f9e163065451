"""What can be taken away: formats of data sets and of the model, and what each of them loses."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any, Final

from primaps.outputs.export.registry import OUTLINES, PORTABLE


@dataclass(frozen=True)
class Format:
    """What a person should know before choosing a format.

    Attributes:
        title: What it is called.
        loses: What does not come through.
        needs: Extra of this package that it needs; None = nothing.
        modules: Modules of that extra.
    """

    title: str
    loses: str
    needs: str | None = None
    modules: tuple[str, ...] = ()


_OUTLINES: Final = (
    "Holes become a seam that leads to them; programs that draw outlines may differ by a pixel."
)

FORMATS: Final = {
    "coco": Format(
        "COCO instances",
        "Nothing as masks; every connected region becomes an object of its own.",
    ),
    "coco-stuff": Format("COCO stuff", "Regions of one class are one mask per photograph."),
    "panoptic": Format("COCO panoptic", "Regions of one class are one segment per photograph."),
    "voc": Format(
        "Pascal VOC",
        "Unlabelled and ignored pixels become one: void. Names of files lose their endings.",
    ),
    "yolo": Format("YOLO segmentation", f"Unlabelled pixels, colours of classes. {_OUTLINES}"),
    "cvat": Format("CVAT for images", "Nothing; every connected region is a mask of its own."),
    "datumaro": Format("Datumaro", "Regions of one class are one mask per photograph."),
    "label-studio": Format("Label Studio", "Nothing; every class of a photograph is one brush."),
    "labelme": Format("LabelMe", f"Colours of classes. {_OUTLINES}"),
    "hf": Format("Hugging Face datasets", "Colours of classes.", "hf", ("pyarrow",)),
    "fiftyone": Format("FiftyOne", "Colours of classes; unlabelled pixels become 0."),
    "geotiff": Format(
        "GeoTIFF", "Nothing; photographs without a place on earth stay so.", "geo", ("rasterio",)
    ),
    "geojson": Format(
        "GeoJSON",
        "Colours of classes. Without a place on earth, outlines are in pixels; with one, the extra"
        " geo is needed.",
    ),
    PORTABLE: Format(
        "ONNX, the model itself",
        "No photographs and no label maps, but the model with your classes; corrections stay here.",
        "onnx",
        ("onnx", "onnxscript", "onnxruntime"),
    ),
}
"""By name: all of `primaps.outputs.export.registry.FORMATS`, and the portable model."""


def described_formats() -> list[dict[str, Any]]:
    """All formats, JSON-ready."""
    return [
        {
            "name": name,
            "title": each.title,
            "loses": each.loses,
            "needs": each.needs,
            "polygons": name in OUTLINES,
            "installed": all(importlib.util.find_spec(module) for module in each.modules),
        }
        for name, each in FORMATS.items()
    ]
