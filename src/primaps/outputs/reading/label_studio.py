"""Label Studio's JSON export: brush labels (labelstud.io, "Export", "Brush")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from primaps.errors import ConfigError
from primaps.outputs.export.rle import mask_of_brush
from primaps.outputs.reading.mended import Mark, MendedImage, painted


def is_label_studio(document: Any) -> bool:
    """Whether a JSON value is a list of tasks."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(each, dict) and {"data", "annotations"} <= each.keys() for each in document
        )
    )


def read_label_studio(path: Path, document: Sequence[Mapping[str, Any]]) -> Iterator[MendedImage]:
    """The photographs of a list of tasks. Of several annotations of one, the last that was not
    cancelled counts.

    Args:
        path: Its file.
        document: Its content.

    Raises:
        ConfigError: If it is incomplete.
    """
    try:
        for task in document:
            kept = [each for each in task["annotations"] if not each.get("was_cancelled")]
            yield _image(path, _name(task["data"]), kept[-1]["result"] if kept else [])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"Expected {path} to be tasks of Label Studio, but got: {error!r}. Export them as JSON."
        ) from error


def _image(path: Path, name: str, results: Sequence[Mapping[str, Any]]) -> MendedImage:
    brushes = [each for each in results if each.get("type") == "brushlabels"]
    names = tuple(dict.fromkeys(each["value"]["brushlabels"][0] for each in brushes))
    size = (0, 0)
    marks = []
    for each in brushes:
        size = int(each["original_height"]), int(each["original_width"])
        value = each["value"]
        marks.append(
            Mark(names.index(value["brushlabels"][0]), partial(mask_of_brush, value["rle"], size))
        )
    marked = [each for each in results if str(each.get("type")).endswith("labels")]
    return MendedImage(
        name,
        path,
        names,
        partial(painted, name, size, marks),
        passed_over=len(marked) - len(brushes),
    )


def _name(data: Mapping[str, Any]) -> str:
    """Our own exports say it; otherwise it is the end of an address."""
    if "name" in data:
        return str(data["name"])
    address = urlsplit(str(data["image"]))
    local = parse_qs(address.query).get("d")
    return local[0] if local else unquote(address.path)
