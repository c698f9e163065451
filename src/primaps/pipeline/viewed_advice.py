"""What to do next, for who has looked at a run; the command lines can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from primaps.config import MAX_CLASSES, MIN_CLASSES

_STRONGER_BACKBONE: Final = "dinov2_vits14"
_WEAK_BACKBONES: Final = frozenset({"mini", "texture"})


@dataclass(frozen=True)
class Advised:
    """The run that advice is for.

    Attributes:
        folder: Where the label maps lie.
        inputs: What the user gave as IMAGES.
        backbone: Name of the backbone, for ``--backbone``.
        levels: Its levels, for ``--levels``; None = as usual.
        method: How prototypes were fitted.
        classes: Number of clusters.
        dead: How many of them own nothing.
        fitted: Whether the folder has a model of its own.
    """

    folder: str
    inputs: Sequence[str]
    backbone: str
    levels: str | None
    method: str
    classes: int
    dead: int
    fitted: bool


def advice(run: Advised) -> list[dict[str, Any]]:
    """Suggestions as the viewer is told them: title, text, command or None."""
    return [*_naming(run), *_fitting(run), *_using(run)]


def _entry(title: str, text: str, command: str | None) -> dict[str, Any]:
    return {"title": title, "text": text, "command": command}


def _naming(run: Advised) -> Iterator[dict[str, Any]]:
    yield _entry(
        "Name and correct with the mouse",
        "The studio shows this page with full-size pictures, and saves names, merges and"
        " corrections as you make them.",
        shlex.join(["primaps", "studio", run.folder]),
    )
    yield _entry(
        "Give the classes names",
        "Names, merges and colours appear here, in overlays and in exports; label maps stay as they"
        " are. Take the numbers from this page.",
        shlex.join(["primaps", "classes", run.folder, "--name", "3=road"])
        + " --merge 4,7=building --ignore 9",
    )
    if run.fitted and run.classes > 2:
        yield _entry(
            "Fewer classes without another fit",
            "The tree of the clusters says which resemble each other; a cut makes so many classes"
            " of it.",
            shlex.join(["primaps", "classes", run.folder, "--cut", str(max(2, run.classes // 2))]),
        )


def _fitting(run: Advised) -> Iterator[dict[str, Any]]:
    if run.backbone in _WEAK_BACKBONES:
        yield _entry(
            f"Use a stronger backbone than {run.backbone}",
            "This small one needs no download and is meant for a first look. A backbone trained on"
            " many millions of photographs tells things apart far better; try this first.",
            _segment_command(run, run.classes, _STRONGER_BACKBONE),
        )
    more = min(MAX_CLASSES, 2 * run.classes)
    fewer = max(MIN_CLASSES, min(run.classes - run.dead, 2 * run.classes // 3))
    if more > run.classes:
        yield _entry(
            "Different things share one class",
            "Ask for more classes, so that they can part.",
            _segment_command(run, more),
        )
    if fewer < run.classes:
        yield _entry(
            "One thing is spread over several classes, or classes stay empty",
            "Ask for fewer classes."
            + (f" In this run {run.dead} of {run.classes} stayed empty." if run.dead else ""),
            _segment_command(run, fewer),
        )


def _using(run: Advised) -> Iterator[dict[str, Any]]:
    yield _entry(
        "Take the result to another program",
        "COCO, YOLO, CVAT, Label Studio, GeoTIFF and others; names, merges and corrections are in"
        " it.",
        shlex.join(["primaps", "export", run.folder, "--format", "coco", "--out", "OTHER_DIR"]),
    )
    yield _entry(
        "Use the label maps in your own program",
        "Each photograph has a PNG of the same size under labels/. The value of a pixel is its"
        " cluster; 255 means ignored.",
        'python -c "from PIL import Image; import numpy;'
        " print(numpy.unique(Image.open('labels/PHOTO.jpg.png')))\"",
    )


def _segment_command(run: Advised, classes: int, backbone: str | None = None) -> str:
    """The run with another number of classes or another backbone, into another folder."""
    words = ["primaps", "segment", *(run.inputs or ["IMAGES"]), "--out", "OTHER_DIR"]
    words += ["--classes", str(min(MAX_CLASSES, max(MIN_CLASSES, classes)))]
    words += ["--backbone", backbone or run.backbone]
    if backbone is None and run.levels is not None:
        words += ["--levels", run.levels]
    if run.method != "em":
        words += ["--method", run.method]
    return shlex.join(words)
