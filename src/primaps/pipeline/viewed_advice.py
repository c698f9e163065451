"""What to do next, for who has looked at a run: the cheapest first, with command lines that run as
they stand.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.config import MAX_CLASSES, MIN_CLASSES
from primaps.features.registry import DEFAULT_BACKBONE

_WEAK_BACKBONES: Final = frozenset({"mini", "texture"})
_DOWNLOADED: Final = "dinov2_vits14"
_FEW_EACH: Final = 2
"""Photographs per class below which more of them are advised."""
_MOST_TYPED: Final = 3
"""Inputs, and characters of them, that a command line repeats at most."""
_MOST_CHARACTERS: Final = 160


@dataclass(frozen=True)
class Advised:
    """The run that advice is for.

    Attributes:
        folder: Where the label maps lie.
        inputs: What the user gave as IMAGES.
        backbone: Name of the backbone.
        method: How prototypes were fitted.
        preset: Name of the preset.
        classes: Number of clusters.
        used: Number of clusters with pixels in any label map.
        unnamed: Classes with pixels of which nobody said anything, the largest first.
        images: Number of photographs with a label map.
        label_map: One of the label maps; None = there is none.
        failures: Number of files that could not be used.
        fitted: Whether the folder has a model of its own.
        from_head: Whether the fit started from the centres of a head, whose number is fixed.
    """

    folder: str
    inputs: Sequence[str]
    backbone: str
    method: str
    preset: str
    classes: int
    used: int
    unnamed: Sequence[int]
    images: int
    label_map: Path | None
    failures: int
    fitted: bool
    from_head: bool = False

    @property
    def empty(self) -> int:
        """Number of clusters without a pixel."""
        return self.classes - self.used


def advice(run: Advised) -> list[dict[str, Any]]:
    """Suggestions as the viewer is told them: title, text, command or None."""
    folder = Path(run.folder)
    if folder.absolute().parent.name == "candidates":
        return [_accepting(folder.absolute()), *_using(run)]
    return [*_failed(run), *_naming(run), *_using(run), *_fitting(run), *_starting_anew(run)]


def _entry(title: str, text: str, *commands: Sequence[str]) -> dict[str, Any]:
    command = " && ".join(shlex.join(words) for words in commands)
    return {"title": title, "text": text, "command": command or None}


def _accepting(folder: Path) -> dict[str, Any]:
    run = shown_path(folder.parent.parent)
    return _entry(
        "Take this fit over",
        "It becomes the run's own; the former one is kept, and `--back` brings it back.",
        ["primaps", "accept", run, folder.name],
    )


def _failed(run: Advised) -> Iterator[dict[str, Any]]:
    if run.failures:
        yield _entry(
            f"Mend the files that could not be used: {run.failures}",
            "The reasons stand below, and in failures.jsonl. Then give the same command again: it"
            " does only what is missing.",
        )


def _naming(run: Advised) -> Iterator[dict[str, Any]]:
    folder = shown_path(run.folder)
    yield _entry(
        "Name and correct with the mouse",
        "The studio shows this page with full-size pictures, and saves names, merges and"
        " corrections as you make them.",
        ["primaps", "studio", folder],
    )
    if run.unnamed:
        yield _entry(
            "Give the classes names",
            "Put your own names, and numbers from this page, in place of these. Names, merges and"
            " colours appear here, in overlays and in exports; label maps stay as they are.",
            ["primaps", "classes", folder, *_named(run.unnamed)],
        )
    # a cut would join classes that have names already
    if run.fitted and run.used > MIN_CLASSES and len(run.unnamed) == run.used:
        yield _entry(
            "Fewer classes without another fit",
            "The tree of the clusters says which resemble each other; a cut makes so many classes"
            " of it.",
            ["primaps", "classes", folder, "--cut", str(max(MIN_CLASSES, run.used // 2))],
        )


def _named(ids: Sequence[int]) -> list[str]:
    """Options of `primaps classes` for classes that are there."""
    options = ["--name", f"{ids[0]}=road"]
    if len(ids) > 2:
        options += ["--merge", f"{ids[1]},{ids[2]}=building"]
    if len(ids) > 3:
        options += ["--ignore", str(ids[-1])]
    return options


def _fitting(run: Advised) -> Iterator[dict[str, Any]]:
    if not run.fitted:
        return  # the run that the model is of is another one
    cost = "Proposals are kept and names carried over; only the fit and label"
    fewer = max(MIN_CLASSES, min(run.used, 2 * run.classes // 3))
    more = min(MAX_CLASSES, 2 * run.classes)
    if fewer < run.classes:
        stayed = f" Of {run.classes} classes, {run.empty} stayed empty." if run.empty else ""
        yield _entry(
            "Classes stay empty" if run.empty else "One thing is spread over several classes",
            f"Ask for fewer classes.{stayed} {cost} maps are made again.",
            *_refit(run, fewer),
        )
    if more > run.classes and not run.empty:
        yield _entry(
            "Different things share one class",
            f"Ask for more classes, so that they can part. {cost} maps are made again.",
            *_refit(run, more),
        )


def _refit(run: Advised, classes: int) -> list[list[str]]:
    """The run with another number of classes: in its folder, or beside it where the inputs are not
    at hand.
    """
    folder, inputs = shown_path(run.folder), _typed(run.inputs)
    if inputs is not None and not run.from_head:
        record = shown_path(Path(run.folder) / "run.json")
        asked = ["primaps", "segment", *inputs, "--out", folder, "--config", record]
        return [[*asked, "--classes", str(classes), "--overwrite"]]
    other = _beside(run.folder, f"{classes}-classes")
    model = f"{other}-model"
    return [
        ["primaps", "fit", folder, "--classes", str(classes), "--model", model],
        ["primaps", "predict", "--stored", folder, "--model", model, "--out", other],
    ]


def _starting_anew(run: Advised) -> Iterator[dict[str, Any]]:
    if run.images < _FEW_EACH * run.classes:
        yield _entry(
            "Give more photographs",
            "Classes are what recurs over many photographs, and"
            f" {run.classes} classes for {run.images} of them leave little to recur.",
        )
    inputs = _typed(run.inputs)
    if inputs is None or run.backbone not in _WEAK_BACKBONES | {DEFAULT_BACKBONE}:
        return
    weak = run.backbone in _WEAK_BACKBONES
    stronger = DEFAULT_BACKBONE if weak else _DOWNLOADED
    words = ["primaps", "segment", *inputs, "--out", _beside(run.folder, stronger)]
    words += ["--classes", str(run.classes), "--backbone", stronger]
    words += [] if run.preset == "default" else ["--preset", run.preset]
    words += [] if run.method == "em" else ["--method", run.method]
    yield _entry(
        f"Use a stronger backbone than {run.backbone}",
        (
            "This small one is meant for a first look. A larger one tells things apart far better;"
            " it is installed."
            if weak
            else "It tells things apart better, but takes longer; it is downloaded on first use."
        )
        + " Everything is computed anew.",
        words,
    )


def _using(run: Advised) -> Iterator[dict[str, Any]]:
    folder = shown_path(run.folder)
    yield _entry(
        "Take the result to another program",
        "COCO, YOLO, CVAT, Label Studio, GeoTIFF and others; names, merges and corrections are in"
        " it.",
        ["primaps", "export", folder, "--format", "coco", "--out", _beside(run.folder, "coco")],
    )
    if run.label_map is not None:
        code = (
            "from PIL import Image; import numpy;"
            f" print(numpy.unique(Image.open({shown_path(run.label_map)!r})))"
        )
        yield _entry(
            "Use the label maps in your own program",
            "Each photograph has a PNG of the same size under labels/. The value of a pixel is its"
            " cluster; 255 means ignored.",
            ["python", "-c", code],
        )


def shown_path(path: str | Path) -> str:
    """A path for a command line: relative where it lies in the working directory."""
    given, here = Path(path), Path.cwd()
    short = given
    if given.is_absolute():
        for base in (here, here.resolve()):
            if given.is_relative_to(base):
                short = given.relative_to(base)
    text = str(short)
    return f"./{text}" if text.startswith("-") else text


def _typed(inputs: Sequence[str]) -> list[str] | None:
    """IMAGES for a command line; None if they are no longer there, or fill the screen."""
    texts = [shown_path(each) for each in inputs]
    known = all(Path(each).exists() or _is_pattern(each) for each in texts)
    few = len(texts) <= _MOST_TYPED and sum(map(len, texts)) <= _MOST_CHARACTERS
    return texts if texts and known and few else None


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[") and Path(text).anchor != text


def _beside(folder: str, suffix: str) -> str:
    """A new folder beside a run."""
    given = Path(folder)
    if given.name in {"", ".."}:
        given = Path("..") / given.resolve().name if str(given) == "." else given.resolve()
    return shown_path(given.with_name(f"{given.name}-{suffix}"))
