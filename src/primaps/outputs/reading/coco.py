"""COCO, instances or stuff: RLE and polygons (cocodataset.org, "Data format")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from primaps.errors import ConfigError
from primaps.outputs.export.rle import coco_mask
from primaps.outputs.reading.mended import Mark, MendedImage, painted


def is_coco(document: Any) -> bool:
    """Whether a JSON value is a data set in COCO's form."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys()


def read_coco(path: Path, document: Mapping[str, Any]) -> Iterator[MendedImage]:
    """The photographs of a data set.

    Args:
        path: Its file.
        document: Its content.

    Raises:
        ConfigError: If it is incomplete.
    """
    try:
        names = {each["id"]: str(each["name"]) for each in document["categories"]}
        listed = tuple(dict.fromkeys(names.values()))
        by_image: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        for each in document["annotations"]:
            by_image[each["image_id"]].append(each)
        for image in document["images"]:
            yield _image(path, image, by_image[image["id"]], names, listed)
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"Expected {path} to be a data set in COCO's form, but got: {error!r}. Export it again."
        ) from error


def _image(
    path: Path,
    image: Mapping[str, Any],
    annotations: Sequence[Mapping[str, Any]],
    names: Mapping[Any, str],
    listed: tuple[str, ...],
) -> MendedImage:
    size = int(image["height"]), int(image["width"])
    marks = [
        Mark(
            listed.index(names[each["category_id"]]),
            partial(coco_mask, each["segmentation"], size),
        )
        for each in annotations
        if each.get("segmentation")
    ]
    name = str(image["file_name"])
    return MendedImage(
        name,
        path,
        listed,
        partial(painted, name, size, marks),
        passed_over=len(annotations) - len(marks),
    )
