"""The files of single images: stored features and proposals, label files, pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image as PILImage
from safetensors import SafetensorError, safe_open

from primaps.errors import ImageError, OutputError
from primaps.outputs.label_files import read_label_image, read_png_info
from primaps.pipeline.verifying.verdict import Fault, Remade
from primaps.runs.checksums import refuse_damaged
from primaps.runs.run import RunFolder
from primaps.types import IGNORE_INDEX

_FORMAT: Final = "primaps-shard-"


@dataclass(frozen=True)
class Stored:
    """What a sound shard says of its image.

    Attributes:
        settings: It was made with, as a fingerprint.
        sha256: Of the photograph.
        height: Of the photograph.
        width: Likewise.
    """

    settings: str
    sha256: str
    height: int
    width: int


@dataclass(frozen=True)
class Expected:
    """What the images of a folder should have.

    Attributes:
        folder: The folder.
        views: Of every shard at most; 0 = nothing is stored.
        settings: Fingerprint that shards of the run have; None = any.
        model: Fingerprint of the model of the label maps; None = any.
        labels: Every image has a label map.
        clusters: Label maps hold smaller ids; 0 = unknown.
    """

    folder: RunFolder
    views: int
    settings: str | None
    model: str | None
    labels: bool
    clusters: int


@dataclass
class Looked:
    """What was found of one image.

    Attributes:
        faults: Files that are not as they should be.
        files: So many were opened.
        outdated: The label map was made with another model.
    """

    faults: list[Fault]
    files: int = 0
    outdated: bool = False


def look_at(expected: Expected, name: str) -> Looked:
    """Open all files of an image.

    Args:
        expected: What there should be.
        name: Of the image.
    """
    found = Looked([])
    stored = _look_at_stored(expected, name, found) if expected.views else None
    _look_at_labels(expected, name, stored, found)
    folder = expected.folder
    certainty, overlay = folder.certainty(name), folder.overlay(name)
    if certainty.exists():
        found.files += 1
        _decoded(folder, certainty, "label maps", found)
    if overlay.exists():
        found.files += 1
        try:
            with PILImage.open(overlay) as picture:
                picture.load()
        except (OSError, SyntaxError, ValueError) as error:
            found.faults.append(_fault(folder, overlay, f"cannot be read: {error}", "overlays"))
    return found


def _look_at_stored(expected: Expected, name: str, found: Looked) -> Stored | None:
    folder = expected.folder
    shard, drawn = folder.store / f"{name}.safetensors", folder.proposals(name)
    if not shard.exists():
        found.faults.append(
            _fault(folder, shard, "is missing, but the manifest names it", "proposals", there=False)
        )
        return None
    found.files += 1
    stored = read_stored(shard, expected.views)
    if isinstance(stored, str):
        found.faults.append(_fault(folder, shard, stored, "proposals"))
        return None
    if expected.settings is not None and stored.settings != expected.settings:
        said = "was made with other settings than the run's"
        found.faults.append(_fault(folder, shard, said, "proposals"))
        return stored
    if not drawn.exists():
        found.faults.append(_fault(folder, drawn, "is missing", "proposals", there=False))
        return stored
    found.files += 1
    size = _decoded(folder, drawn, "proposals", found)
    stamp = {"image": stored.sha256, "settings": stored.settings}
    if size is not None and _info(drawn) != stamp:
        said = "was not made with what is stored of its image"
        found.faults.append(_fault(folder, drawn, said, "proposals"))
    elif size is not None and size[0] != (stored.height, stored.width):
        found.faults.append(_fault(folder, drawn, _other_size(size[0], stored), "proposals"))
    return stored


def _look_at_labels(expected: Expected, name: str, stored: Stored | None, found: Looked) -> None:
    folder, path = expected.folder, expected.folder.labels(name)
    if not path.exists():
        if expected.labels:
            found.faults.append(_fault(folder, path, "is missing", "label maps", there=False))
        return
    found.files += 1
    size = _decoded(folder, path, "label maps", found)
    if size is None:
        return
    stamp, problem = _info(path), ""
    if "model" not in stamp:
        problem = "does not say with which model it was made"
    elif expected.model is not None and stamp["model"] != expected.model:
        found.outdated = True
    elif stored is not None and stamp.get("image") != stored.sha256:
        problem = "was made of another state of its photograph than what is stored"
    elif stored is not None and size[0] != (stored.height, stored.width):
        problem = _other_size(size[0], stored)
    elif expected.clusters and any(each >= expected.clusters for each in size[1]):
        problem = f"holds ids from {expected.clusters} on, which no cluster has"
    if problem:
        found.faults.append(_fault(folder, path, problem, "label maps"))


def read_stored(path: Path, views: int) -> Stored | str:
    """What a shard says of its image, or what is wrong with it. All its tensors are read.

    Args:
        path: The shard.
        views: It holds at most so many.
    """
    try:
        with path.open("rb") as stream:
            refuse_damaged(stream)
        with safe_open(path, framework="pt") as shard:
            metadata = shard.metadata() or {}
            tensors = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118 - no mapping
    except (OSError, ValueError, SafetensorError) as error:
        return f"cannot be read: {error}"
    if not metadata.get("format", "").startswith(_FORMAT):
        return "is no file of this package"
    try:
        info: Mapping[str, Any] = json.loads(metadata["info"])
        stored = Stored(
            str(info["settings"]), str(info["sha256"]), int(info["height"]), int(info["width"])
        )
        problem = next(_wrong(tensors, int(info["num_masks"]), len(info["scores"]), views), None)
    except (KeyError, ValueError, TypeError) as error:
        return f"does not say what it holds: {error!r}"
    return stored if problem is None else problem


def _wrong(
    tensors: Mapping[str, torch.Tensor], masks: int, scores: int, views: int
) -> Iterator[str]:
    """What does not fit together in a shard."""
    features, proposals = tensors.get("features"), tensors.get("proposals")
    if features is None or features.ndim != 4 or not 1 <= len(features) <= views:
        yield f"holds no features (views, channels, height, width) of at most {views} views"
    elif not bool(torch.isfinite(features).all()):
        yield "holds features that are not finite"
    if proposals is None or proposals.ndim != 2 or proposals.is_floating_point():
        yield "holds no proposals (height, width)"
    elif proposals.numel() and not 0 <= int(proposals.min()) <= int(proposals.max()) <= masks:
        yield f"holds ids of proposals outside 0..{masks}"
    if scores != masks:
        yield f"holds {scores} scores of {masks} proposals"


def _decoded(
    folder: RunFolder, path: Path, remade: Remade, found: Looked
) -> tuple[tuple[int, int], set[int]] | None:
    """(height, width) of a label file and its ids but 255; None if it cannot be read."""
    try:
        ids = read_label_image(path)
    except (ImageError, OutputError) as error:
        found.faults.append(_fault(folder, path, f"cannot be read: {_cause(error)}", remade))
        return None
    present = set(np.unique(ids).tolist()) - {IGNORE_INDEX}
    return (ids.shape[0], ids.shape[1]), present


def _cause(error: Exception) -> str:
    return str(error.__cause__ or error)


def _info(path: Path) -> dict[str, str]:
    try:
        return read_png_info(path)
    except OutputError:
        return {}


def _other_size(size: tuple[int, int], stored: Stored) -> str:
    return f"is {size[1]} x {size[0]} pixels, but its photograph {stored.width} x {stored.height}"


def _fault(
    folder: RunFolder, path: Path, problem: str, remade: Remade, *, there: bool = True
) -> Fault:
    return Fault(path.relative_to(folder.root).as_posix(), problem, remade, there)
