"""Label images as PNG: a value, or a colour, per class.

``labelmap.txt`` (Pascal VOC as CVAT and Datumaro write it) or ``mask_targets.json`` (FiftyOne) say
what values mean; without them they are class ids. 255 is unlabelled in all of them, and 0 where
FiftyOne or Pascal VOC count from 1.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from primaps.errors import ConfigError, ImageError
from primaps.outputs.export.voc import name_of_label
from primaps.outputs.reading.mended import UNLABELLED, MendedImage
from primaps.types import IGNORE_INDEX

LABEL_MAP: Final = "labelmap.txt"
TARGETS: Final = "mask_targets.json"
_FOLDERS: Final = ("SegmentationClass", "labels", "*/labels")


@dataclass(frozen=True)
class _Meaning:
    """What values and colours of label images mean.

    Attributes:
        values: Index of the name by value.
        colours: Index of the name by 0xRRGGBB.
        names: Of the classes; None = values are class ids.
    """

    values: Mapping[int, int]
    colours: Mapping[int, int] = field(default_factory=dict)
    names: tuple[str, ...] | None = None


def find_masks(folder: Path) -> list[tuple[str, Path]]:
    """The label images of a folder by their relative paths, without ``.png``."""
    for pattern in _FOLDERS:
        homes = [path for path in sorted(folder.glob(pattern)) if path.is_dir()]
        if homes:
            break
    else:
        homes = [folder]
    return [
        (path.relative_to(home).with_suffix("").as_posix(), path)
        for home in homes
        for path in sorted(home.rglob("*.png"))
    ]


def read_masks(folder: Path) -> Iterator[MendedImage]:
    """The label images of a folder.

    Raises:
        ConfigError: If the list of what values mean is damaged.
    """
    meaning = _meaning(folder)
    for stem, path in find_masks(folder):
        paint = partial(_painted, path, meaning)
        yield MendedImage(stem, path, meaning.names, paint, is_stem=True)


def _meaning(folder: Path) -> _Meaning:
    label_map, targets = folder / LABEL_MAP, folder / TARGETS
    try:
        if label_map.exists():
            return _from_label_map(label_map.read_text("utf-8"))
        if targets.exists():
            named = {int(key): str(name) for key, name in json.loads(targets.read_text()).items()}
            names = tuple(dict.fromkeys(named.values()))
            return _Meaning({value: names.index(name) for value, name in named.items()}, {}, names)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"Expected {label_map if label_map.exists() else targets} to say what the values of"
            f" masks mean, but got: {error}. Export it again."
        ) from error
    return _Meaning({each: each for each in range(IGNORE_INDEX)})


def _from_label_map(text: str) -> _Meaning:
    rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
    rows = [[name_of_label(label), *rest] for label, *rest in rows]
    names = tuple(dict.fromkeys(row[0] for row in rows))
    colours = {}
    for row in rows:
        red, green, blue = (int(each) for each in row[1].split(","))
        colours[red << 16 | green << 8 | blue] = names.index(row[0])
    return _Meaning({row: names.index(each[0]) for row, each in enumerate(rows)}, colours, names)


def _painted(path: Path, meaning: _Meaning) -> NDArray[np.int16]:
    """(H, W) int16 indices of names.

    Raises:
        ImageError: If the file cannot be read, or holds what has no meaning.
    """
    try:
        # Not PIL.Image.open: it takes masks of large photographs for decompression bombs.
        with PngImagePlugin.PngImageFile(path) as picture:
            mode, palette = picture.mode, picture.getpalette()
            if mode in {"RGB", "RGBA"} and meaning.colours:
                return _by_colour(path, np.asarray(picture.convert("RGB")), meaning)
            if mode in {"P", "L", "I;16", "I"}:
                values = np.asarray(picture).astype(np.int32)
                return _by_value(path, values, meaning, palette if mode == "P" else None)
    except (OSError, SyntaxError, ValueError, struct.error, zlib.error) as error:
        raise ImageError(
            f"Expected {path} to be a mask (PNG), but it cannot be read: {error}. Export it again."
        ) from error
    raise ImageError(
        f"Expected {path} to be a mask with a class per value, but got colour mode {mode}"
        f" {'' if meaning.colours else f'and no {LABEL_MAP}'}. Export it as indexed or grey PNG."
    )


def _by_colour(path: Path, pixels: NDArray[Any], meaning: _Meaning) -> NDArray[np.int16]:
    red, green, blue = (pixels[..., each].astype(np.int32) for each in range(3))
    return _translated(path, red << 16 | green << 8 | blue, meaning.colours)


def _by_value(
    path: Path, values: NDArray[np.int32], meaning: _Meaning, palette: list[int] | None
) -> NDArray[np.int16]:
    known = dict(meaning.values)
    if palette is not None and meaning.colours:
        # programs write the rows of the list in another order, and colours tell
        table = np.array(palette).reshape(-1, 3)
        coded = (table[:, 0] << 16 | table[:, 1] << 8 | table[:, 2]).tolist()
        known = {
            value: meaning.colours[coded[value]]
            for value in np.unique(values).tolist()
            if value < len(coded) and coded[value] in meaning.colours
        }
    known[IGNORE_INDEX] = UNLABELLED
    known.setdefault(0, UNLABELLED)
    return _translated(path, values, known)


def _translated(
    path: Path, values: NDArray[np.int32], known: Mapping[int, int]
) -> NDArray[np.int16]:
    found, places = np.unique(values, return_inverse=True)
    strange = [each for each in found.tolist() if each not in known]
    if strange:
        raise ImageError(
            f"Expected values of {path} that mean a class, but got {strange[:5]}. Add them to"
            f" {LABEL_MAP} or {TARGETS}, or paint them over."
        )
    table = np.array([known[each] for each in found.tolist()], dtype=np.int16)
    return table[places].reshape(values.shape)
