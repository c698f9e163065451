"""The report: one self-contained HTML page that says what a run found, for readers who never heard
of the method.
"""

from __future__ import annotations

import base64
import functools
import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from primaps.config import MAX_CLASSES, MIN_CLASSES, Method
from primaps.errors import OutputError
from primaps.outputs.curve_figures import curves_figure
from primaps.outputs.png import figure_png
from primaps.outputs.tree_figure import TreeFacts, tree_figure
from primaps.outputs.visualize import (
    MAX_COLOURS,
    boundaries,
    paint,
    palette,
    resize_labels,
    thumbnail,
)
from primaps.runs.store import atomic_write
from primaps.types import IGNORE_INDEX, Failure, FitCurves, Image

PICTURE_SIDE: Final = 320
EXAMPLE_SIDE: Final = 240

_JPEG_QUALITY: Final = 82
_FAILURES_SHOWN: Final = 200
_LABEL_ALPHA: Final = 0.65
_EXAMPLE_ASPECT: Final = 4 / 3
_CLASSES_LISTED: Final = 12
_STRONGER_BACKBONE: Final = "dinov2_vits14"
_WEAK_BACKBONES: Final = frozenset({"mini", "texture"})


@dataclass(frozen=True)
class ClassSummary:
    """One class over all label maps of a run.

    Attributes:
        id: Class id, 0..254: the pixel value in the label maps.
        name: What the user called it; None = unnamed.
        share: Fraction of the pixels of all label maps, in [0, 1].
        num_images: Number of images it occurs in.
        examples: Small (h, w, 3) uint8 pictures in which the class is highlighted
            (`class_example`), best first.
        colour: Red, green, blue; None = that of the id in `primaps.outputs.visualize.palette`.
        certainty: Mean difference of the two largest class probabilities, in [0, 1]; None = not
            known.
    """

    id: int
    name: str | None
    share: float
    num_images: int
    examples: Sequence[Image] = ()
    colour: tuple[int, int, int] | None = None
    certainty: float | None = None

    @property
    def dead(self) -> bool:
        """No pixel of any label map belongs to the class."""
        return self.num_images == 0


@dataclass(frozen=True)
class ImagePanel:
    """One image of the report; make it with `image_panel`.

    Attributes:
        name: Name of the image in the run.
        photo: Small (h, w, 3) uint8 photograph.
        proposals_picture: Same size, mask proposals painted over it; None = none were kept.
        label_picture: Same size, label map painted over it.
        num_proposals: Number of mask proposals; None = none were kept.
        coverage: Fraction of the pixels that a proposal covers, in [0, 1]; None = none were kept.
        classes: (class id, fraction of the pixels), most frequent first; the id 255 stands for
            ignored pixels.
        certainty: Mean difference of the two largest class probabilities, in [0, 1]; None = not
            known.
    """

    name: str
    photo: Image
    proposals_picture: Image | None
    label_picture: Image
    num_proposals: int | None
    coverage: float | None
    classes: Sequence[tuple[int, float]] = ()
    certainty: float | None = None


@dataclass(frozen=True)
class Report:
    """What `write_report` shows.

    Attributes:
        title: Heading of the page.
        classes: Every class of the model, also those without pixels.
        images: The images to show, in order.
        total_images: How many images got a label map; ``images`` may be fewer.
        failures: Inputs that could not be used.
        warnings: Plain sentences shown near the top.
        settings: Settings and versions; nested mappings are shown folded.
        timings: Seconds per stage.
        facts: Further figures for the head of the page, label to text (for example mean number of
            proposals).
        backbone: Name of the backbone; None leaves it out.
        training: What the backbone was trained with, in words; None leaves it out.
        levels: Levels of the backbone in the form of ``--levels``; None leaves them out.
        method: How prototypes were fitted; None leaves it out.
        inputs: What the user gave as IMAGES; quoted in the suggested command lines.
        curves: What changed over the fit; None leaves it out.
        tree: How the clusters merge, and how their number came about; None leaves it out.
        about: What the photographs are, for the head of the page; empty leaves it out.
        num_clusters: Of the model, where classes are not one cluster each; None = they are.
        folder: Where the label maps lie; quoted in the suggested command lines.
        doubtful: Names of the images whose classes are least certain, and their certainty, the
            least certain first.
    """

    title: str
    classes: Sequence[ClassSummary]
    images: Sequence[ImagePanel]
    total_images: int
    failures: Sequence[Failure] = ()
    warnings: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    backbone: str | None = None
    training: str | None = None
    levels: str | None = None
    method: Method | None = None
    inputs: Sequence[str] = ()
    curves: FitCurves | None = None
    tree: TreeFacts | None = None
    about: str = ""
    num_clusters: int | None = None
    folder: str | None = None
    doubtful: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class _Advice:
    """One suggestion of what to do next: a question the reader may have, the answer, a command
    line.
    """

    question: str
    answer: str
    command: str | None = None


def write_report(path: Path, report: Report) -> None:
    """Write the report as one HTML file: style and pictures inside, nothing loaded from elsewhere.

    Args:
        path: Where to write; an existing file is replaced in one step.
        report: What to show.

    Raises:
        OutputError: If class ids are not distinct ids 0..254, a picture is not (h, w, 3) uint8, or
            the file cannot be written.
    """
    ids = [entry.id for entry in report.classes]
    if len(set(ids)) != len(ids) or any(not 0 <= number < MAX_COLOURS for number in ids):
        raise OutputError(
            f"Expected class ids to be distinct numbers 0..{MAX_COLOURS - 1}, but got {ids}."
        )
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            alive=sorted(
                (entry for entry in report.classes if not entry.dead),
                key=lambda entry: (-entry.share, entry.id),
            ),
            dead=[entry for entry in report.classes if entry.dead],
            names={entry.id: entry.name for entry in report.classes},
            colours=_hex_colours(report),
            ignored_share=_ignored_share(report),
            failures_shown=_FAILURES_SHOWN,
            classes_listed=_CLASSES_LISTED,
            advice=list(_advice(report)),
            curves=(
                None
                if report.curves is None
                else _png_uri(figure_png(curves_figure(report.curves)))
            ),
            tree_picture=(
                None if report.tree is None else _png_uri(figure_png(tree_figure(report.tree)))
            ),
        )
    )
    # File names that are not UTF-8 reach Python as lone surrogates: shown escaped, as they cannot
    # be encoded.
    atomic_write(path, page.encode("utf-8", errors="backslashreplace"))


def class_example(
    photo: Image,
    label_map: NDArray[np.integer[Any]],
    class_id: int,
    max_side: int = EXAMPLE_SIDE,
    colour: tuple[int, int, int] | None = None,
) -> Image:
    """Small picture of one class in one image: cropped to the class, the class in full colour, the
    rest grey and pale.

    Args:
        photo: (H, W, 3) uint8 RGB.
        label_map: (H', W') class ids of the same photograph, at its size or another.
        class_id: The class to show.
        max_side: Longest side of the picture in pixels.
        colour: Of the line around it; None = that of the id.

    Returns:
        (h, w, 3) uint8 RGB, about 4:3 where the photograph allows.

    Raises:
        OutputError: If the class does not occur in the label map, or the photograph is not (H, W,
            3) uint8.
    """
    top, bottom, left, right = _crop_box(label_map == class_id, class_id)
    # photo pixels per label pixel
    height, width = photo.shape[0] / label_map.shape[0], photo.shape[1] / label_map.shape[1]
    rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
    columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
    picture = thumbnail(photo[rows, columns], max_side)
    inside = (
        resize_labels(label_map[top:bottom, left:right], (picture.shape[0], picture.shape[1]))
        == class_id
    )

    grey = picture.mean(axis=-1, keepdims=True)
    pale = (0.35 * grey + 145).astype(np.uint8)
    result = np.where(inside[..., None], picture, pale)
    result[_outline(inside)] = _colour(class_id) if colour is None else colour
    return result


def image_panel(
    name: str,
    photo: Image,
    proposals: NDArray[np.integer[Any]] | None,
    label_map: NDArray[np.integer[Any]],
    max_side: int = PICTURE_SIDE,
    colours: NDArray[np.uint8] | None = None,
) -> ImagePanel:
    """Small pictures and figures of one image for the report.

    Args:
        name: Name of the image in the run.
        photo: (H, W, 3) uint8 RGB.
        proposals: (H', W') mask proposals of the same photograph, 0 = unassigned; None = none were
            kept.
        label_map: (H'', W'') class ids, 255 = ignored. Neither needs the size of the photograph.
        max_side: Longest side of the pictures in pixels.
        colours: (255, 3) uint8 by class id; None = those of the ids.

    Returns:
        The panel; it keeps no reference to the arrays given.

    Raises:
        OutputError: If an array has the wrong shape or dtype.
    """
    small = thumbnail(photo, max_side)
    size = (small.shape[0], small.shape[1])
    plain = palette(MAX_COLOURS)
    proposals_picture, num_proposals, coverage = None, None, None
    if proposals is not None:
        # Extraction order starts at 1; colour 0 is for the first proposal.
        proposals_picture = paint(
            small, resize_labels(proposals, size), np.roll(plain, 1, axis=0), ignore=0
        )
        num_proposals = int(proposals.max())
        coverage = float(np.count_nonzero(proposals) / proposals.size)
    counts = _id_counts(label_map)
    present = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    return ImagePanel(
        name=name,
        photo=small,
        proposals_picture=proposals_picture,
        label_picture=paint(
            small,
            resize_labels(label_map, size),
            plain if colours is None else colours,
            alpha=_LABEL_ALPHA,
        ),
        num_proposals=num_proposals,
        coverage=coverage,
        classes=tuple((int(index), float(counts[index] / label_map.size)) for index in present),
    )


def _id_counts(label_map: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(256,) int64 number of pixels per id; PIL counts bytes without the full-size copies that
    numpy's counters make.
    """
    if label_map.size and not 0 <= label_map.min() <= label_map.max() <= IGNORE_INDEX:
        raise OutputError(
            f"Expected a label map to hold ids 0..{IGNORE_INDEX}, but got"
            f" {label_map.min()}..{label_map.max()}. Mask proposals are the other argument."
        )
    histogram = PILImage.fromarray(np.ascontiguousarray(label_map, dtype=np.uint8)).histogram()
    return np.array(histogram, dtype=np.int64)


def _crop_box(inside: NDArray[np.bool_], class_id: int) -> tuple[int, int, int, int]:
    """Rows top..bottom and columns left..right around the True pixels: with a margin, widened
    towards 4:3.
    """
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if len(rows) == 0:
        raise OutputError(
            f"Expected class {class_id} to occur in the label map, but no pixel has this id."
        )
    # At least a third of each side, so that a small object is seen in its surroundings.
    height = max(1.25 * (rows[-1] + 1 - rows[0]), inside.shape[0] / 3)
    width = max(1.25 * (columns[-1] + 1 - columns[0]), inside.shape[1] / 3)
    height, width = max(height, width / _EXAMPLE_ASPECT), max(width, height * _EXAMPLE_ASPECT)
    top, bottom = _interval((rows[0] + rows[-1] + 1) / 2, height, inside.shape[0])
    left, right = _interval((columns[0] + columns[-1] + 1) / 2, width, inside.shape[1])
    return top, bottom, left, right


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels on both sides of the border of a region: a line two pixels wide."""
    ids = inside.astype(np.uint8)
    return boundaries(ids) | boundaries(ids[::-1, ::-1])[::-1, ::-1]


def _interval(centre: float, length: float, limit: int) -> tuple[int, int]:
    """Whole-number interval of about ``length`` around ``centre``, pushed inside 0..limit."""
    size = min(limit, max(1, round(length)))
    start = min(max(0, round(centre - size / 2)), limit - size)
    return start, start + size


def _ignored_share(report: Report) -> float:
    """Fraction of all pixels that no class has; 0 without images."""
    return (
        max(0.0, 1.0 - sum(entry.share for entry in report.classes)) if report.total_images else 0.0
    )


def _advice(report: Report) -> Iterator[_Advice]:
    """What to do next; the command lines can be pasted."""
    count, dead = (
        report.num_clusters or len(report.classes),
        sum(entry.dead for entry in report.classes),
    )
    if report.folder is not None:
        yield _Advice(
            "Give the classes names",
            "Names, merges and colours appear here, in overlays and in exports; label maps stay as"
            " they are. Take the numbers from this page.",
            shlex.join(["primaps", "classes", report.folder, "--name", "3=road"])
            + " --merge 4,7=building --ignore 9",
        )
    if report.backbone in _WEAK_BACKBONES:
        yield _Advice(
            f"Use a stronger backbone than {report.backbone}",
            "This small one needs no download and is meant for a first look. A backbone trained on"
            " many millions of photographs tells things apart far better; try this first.",
            _segment_command(report, count, _STRONGER_BACKBONE),
        )
    more, fewer = min(MAX_CLASSES, 2 * count), max(MIN_CLASSES, min(count - dead, 2 * count // 3))
    if more > count:
        yield _Advice(
            "Different things share one class",
            "Ask for more classes, so that they can part.",
            _segment_command(report, more),
        )
    if fewer < count:
        yield _Advice(
            "One thing is spread over several classes, or classes stay empty",
            "Ask for fewer classes."
            + (f" In this run {dead} of {count} stayed empty." if dead else ""),
            _segment_command(report, fewer),
        )
    yield _Advice(
        "Use the label maps in your own program",
        "Each photograph has a PNG of the same size under labels/. The value of a pixel is its"
        " class id; 255 means ignored.",
        'python -c "from PIL import Image; import numpy;'
        " print(numpy.unique(Image.open('labels/PHOTO.jpg.png')))\"",
    )


def _segment_command(report: Report, classes: int, backbone: str | None = None) -> str:
    """The run of the report with another number of classes or another backbone, into another
    folder.
    """
    words = ["primaps", "segment", *(report.inputs or ["IMAGES"]), "--out", "OTHER_DIR"]
    words += ["--classes", str(min(MAX_CLASSES, max(MIN_CLASSES, classes)))]
    chosen = backbone or report.backbone
    if chosen is not None:
        words += ["--backbone", chosen]
    if backbone is None and report.levels is not None:
        words += ["--levels", report.levels]
    if report.method is not None and report.method != "em":
        words += ["--method", report.method]
    return shlex.join(words)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("primaps.outputs", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(picture=_data_uri, percent=_percent, seconds=_seconds)
    environment.tests["folded"] = lambda value: isinstance(value, Mapping)
    return environment


def _data_uri(picture: Image) -> str:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise OutputError(
            f"Expected pictures to be (h, w, 3) uint8, but got shape {picture.shape}, dtype"
            f" {picture.dtype}."
        )
    buffer = io.BytesIO()
    # Full colour resolution: the painted regions have sharp coloured edges.
    PILImage.fromarray(picture).save(
        buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True
    )
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _png_uri(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode("ascii")


def _percent(fraction: float) -> str:
    if 0 < fraction < 0.001:
        return "< 0.1 %"
    return f"{100 * fraction:.1f} %" if fraction < 0.0995 else f"{100 * fraction:.0f} %"


def _seconds(value: float) -> str:
    if value < 60:
        return f"{value:.1f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def _colour(class_id: int) -> NDArray[np.uint8]:
    colour: NDArray[np.uint8] = palette(MAX_COLOURS)[class_id]
    return colour


def _hex_colours(report: Report) -> dict[int, str]:
    """Colours of the page by class id; 255 is grey."""
    found = {number: "#" + _colour(number).tobytes().hex() for number in range(MAX_COLOURS)}
    given = {
        each.id: "#" + bytes(each.colour).hex()
        for each in report.classes
        if each.colour is not None
    }
    return {**found, **given, IGNORE_INDEX: "#808080"}
