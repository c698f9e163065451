"""JSON and indexed PNG as the formats need them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from primaps.outputs.export.classes import Colour
from primaps.outputs.export.target import Target


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8, keys in the order given."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))
    return text.encode("utf-8")


def stream_object(target: Target, relative: str, members: Mapping[str, Any]) -> None:
    """Write a JSON object, an entry per line, whose iterators among the values become arrays
    without ever being in memory as a whole.

    Raises:
        OutputError: If it cannot be written.
    """
    with target.stream(relative) as stream:
        for index, (key, value) in enumerate(members.items()):
            stream.write(b"{\n" if index == 0 else b",\n")
            stream.write(to_json(key) + b": ")
            if isinstance(value, list | Mapping | str | int | float):
                stream.write(to_json(value))
            else:
                write_array(stream, value)
        stream.write(b"\n}\n")


def write_array(stream: BinaryIO, values: Iterable[Any]) -> None:
    """Write a JSON array, one entry per line."""
    stream.write(b"[")
    for index, value in enumerate(values):
        stream.write(b"\n" if index == 0 else b",\n")
        stream.write(to_json(value))
    stream.write(b"]")


def indexed_png(values: NDArray[np.uint8], colours: Mapping[int, Colour]) -> bytes:
    """An 8-bit indexed PNG: the pixel is the value, the palette only colours it.

    Args:
        values: (H, W) uint8.
        colours: By value; other values are black.
    """
    table = np.zeros((256, 3), dtype=np.uint8)
    for value, colour in colours.items():
        table[value] = colour
    picture = PILImage.fromarray(np.ascontiguousarray(values))
    picture.putpalette(table.tobytes())
    return png_bytes(picture)


def grey_png(values: NDArray[np.uint8]) -> bytes:
    """An 8-bit grey PNG of (H, W) uint8 values, for readers that would take an indexed one for the
    colours of its palette.
    """
    return png_bytes(PILImage.fromarray(np.ascontiguousarray(values)))


def png_bytes(picture: PILImage.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
