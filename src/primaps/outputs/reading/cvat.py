"""CVAT for images 1.1: masks and polygons (docs.cvat.ai, "CVAT for image")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError
from primaps.outputs.export.rle import coco_mask, mask_of_rows
from primaps.outputs.reading.mended import Mark, MendedImage, painted


def is_cvat(path: Path) -> bool:
    """Whether a file is a list of annotations by CVAT."""
    try:
        with path.open("rb") as stream:
            _, root = next(iter(ET.iterparse(stream, events=("start",))))  # noqa: S314 - as below
    except (OSError, ET.ParseError, StopIteration):
        return False
    return str(root.tag) == "annotations"


def read_cvat(path: Path) -> Iterator[MendedImage]:
    """The photographs of a file, one after the other.

    Raises:
        ConfigError: If it is no XML, or incomplete.
    """
    try:
        with path.open("rb") as stream:
            # expat limits what entities may grow to, and fetches nothing
            for _, element in ET.iterparse(stream):  # noqa: S314
                if element.tag == "image":
                    yield _image(path, element)
                    element.clear()
                elif element.tag == "track":
                    raise ConfigError(
                        f"Expected {path} to speak of images, but it speaks of a video. Export the"
                        " task as 'CVAT for images 1.1'."
                    )
    except (OSError, ET.ParseError, KeyError, ValueError) as error:
        raise ConfigError(
            f"Expected {path} to be annotations in the form 'CVAT for images 1.1', but got:"
            f" {error}. Export them again."
        ) from error


def _image(path: Path, element: ET.Element) -> MendedImage:
    size = int(element.attrib["height"]), int(element.attrib["width"])
    shapes = [each for each in element if each.tag in {"mask", "polygon"}]
    shapes.sort(key=lambda each: int(each.attrib.get("z_order", 0)))
    names = tuple(dict.fromkeys(each.attrib["label"] for each in shapes))
    marks = [_mark(dict(each.attrib), each.tag, names, size) for each in shapes]
    other = [each for each in element if each.tag in {"box", "polyline", "points", "ellipse"}]
    name = element.attrib["name"]
    return MendedImage(
        name, path, names, partial(painted, name, size, marks), passed_over=len(other)
    )


def _mark(
    values: Mapping[str, str], kind: str, names: tuple[str, ...], size: tuple[int, int]
) -> Mark:
    index = names.index(values["label"])
    if kind == "polygon":
        return Mark(index, partial(_polygon, values["points"], size))
    box = int(values["height"]), int(values["width"])
    return Mark(index, partial(_rows, values["rle"], box), int(values["top"]), int(values["left"]))


def _rows(text: str, box: tuple[int, int]) -> NDArray[np.bool_]:
    return mask_of_rows([int(each) for each in text.split(",")], box)


def _polygon(text: str, size: tuple[int, int]) -> NDArray[np.bool_]:
    ring: list[Any] = [value for point in text.split(";") for value in point.split(",")]
    return coco_mask([ring], size)
