"""Draw ``docs/images/overview.png``, the picture that opens the README: photographs, their mask
proposals, their label maps with the names of the classes.

    python tools/draw_readme_picture.py

The photographs are those of the demo that are free of any condition (CC0 or public domain;
scikit-image carries them, extra ``demo``), each cut into overlapping views. What is drawn is read
from the files of one run of the main job over all views, with the default backbone and preset and
without labels; of every photograph one view is shown. The number of classes was chosen by eye, and
the names are those of what lies at places that were chosen by eye: the picture illustrates the
method and measures nothing. Equal versions of the dependencies give an equal picture. Takes about a
minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont, ImageOps
from scipy import ndimage

import primaps as pm
from primaps import pipeline
from primaps.config import preset_config
from primaps.data.demo_views import SOURCES, Source, write_views
from primaps.outputs.label_files import read_label_image
from primaps.outputs.visualize import paint, palette
from primaps.runs.run import Run
from primaps.runs.store import atomic_write

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "overview.png"
FREE = tuple(source for source in SOURCES if source.rights.endswith(("CC0", "public domain")))
SHOWN = ((("cat", "below"), ("coffee", "left")), (("rocket", "below"), ("astronaut", "left")))
"""Photograph and view of each place on the sheet, row by row."""
PLACES: Final = (
    ("cat-below.png", 0.5, 0.5, "cat"),
    ("cat-right.png", 0.92, 0.5, "cushion"),
    ("coffee-below.png", 0.5, 0.5, "cup and saucer"),
    ("coffee-right.png", 0.92, 0.1, "table"),
    ("rocket-left.png", 0.5, 0.1, "sky"),
    ("rocket-below.png", 0.08, 0.9, "rocket and tower"),
    ("astronaut-left.png", 0.4, 0.9, "suit"),
    ("astronaut-left.png", 0.42, 0.7, "helmet"),
    ("astronaut-left.png", 0.75, 0.1, "head"),
    ("astronaut-left.png", 0.08, 0.1, "backdrop"),
)
"""View, place in it as fractions of its width and height, and what is seen there."""
TAGGED = 0.03
"""Of a tile: smaller regions get no name."""
COLUMNS = ("photograph", "mask proposals", "label map, named")
CLASSES = 10
TILE, MARGIN, GAP, HEAD = (184, 124), 20, 6, 30
BETWEEN = 26
"""Pixels between the two views of a photograph."""
BACKGROUND, INK, TAG = (252, 252, 250), (60, 64, 70), (34, 36, 40)
CLASS_COLOURS = palette(40)
# not those of the classes: ids of proposals mean nothing across images
PROPOSAL_COLOURS = np.roll(palette(40), -5, axis=0)

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """A view as it is shown.

    Attributes:
        pictures: Photograph, proposals and label map, each (h, w, 3) uint8 RGB.
        labels: (h, w) int32 clusters.
    """

    pictures: tuple[Picture, Picture, Picture]
    labels: NDArray[np.int32]


def segmented(
    sources: Sequence[Source], folder: Path, classes: int, seed: int, backbone: str | None = None
) -> Run:
    """The main job on the views of the photographs, done in a folder."""
    files, _ = write_views(folder / "views", sources)
    config = dataclasses.replace(preset_config("default"), num_clusters=classes, seed=seed)
    extractor = (
        pm.load_backbone(device="cpu")
        if backbone is None
        else pm.load_backbone(backbone, device="cpu")
    )
    run = pipeline.open_run([str(path) for path in files], folder / "run", extractor, config)
    pipeline.segment(run)
    return run


def names_at(run: Run, places: Sequence[tuple[str, float, float, str]]) -> dict[int, str]:
    """The names of clusters by what lies at places of views; of two names the later one counts."""
    paths = {image.name: image.path for image in run.images}
    names: dict[int, str] = {}
    for view, across, down, name in places:
        if view in paths:
            height, width = pm.read_image(paths[view]).shape[:2]
            labels = read_label_image(run.folder.labels(view), (height, width))
            names[int(labels[int(down * height), int(across * width)])] = name
    return names


def painted(run: Run, name: str) -> Shown:
    """A view, its mask proposals and its label map, all of the view's size."""
    (path,) = (image.path for image in run.images if image.name == name)
    photo = pm.read_image(path)
    proposals = read_label_image(run.folder.proposals(name), photo.shape[:2])
    labels = read_label_image(run.folder.labels(name), photo.shape[:2])
    pictures = (
        photo,
        paint(photo, proposals, PROPOSAL_COLOURS, ignore=0),
        paint(photo, labels, CLASS_COLOURS, alpha=0.65),
    )
    return Shown(pictures, labels.astype(np.int32))


def arranged(rows: Sequence[Sequence[Shown]], names: Mapping[int, str]) -> PILImage.Image:
    """Views beside and below one another, on a light sheet with a title over each column."""
    views = len(rows[0])
    block = len(COLUMNS) * (TILE[0] + GAP) - GAP
    width = 2 * MARGIN + views * block + (views - 1) * BETWEEN
    height = 2 * MARGIN + HEAD + len(rows) * (TILE[1] + GAP) - GAP
    sheet = PILImage.new("RGB", (width, height), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(15)
    for view in range(views):
        for column, title in enumerate(COLUMNS):
            left = MARGIN + view * (block + BETWEEN) + column * (TILE[0] + GAP)
            pen.text((left + TILE[0] / 2, MARGIN + HEAD / 2 - 6), title, INK, font, anchor="mm")
            for row, shown in enumerate(rows):
                tile = fitted(PILImage.fromarray(shown[view].pictures[column]))
                if column == len(COLUMNS) - 1:
                    tag(tile, shown[view].labels, names)
                sheet.paste(tile, (left, MARGIN + HEAD + row * (TILE[1] + GAP)))
    return sheet


def fitted(
    picture: PILImage.Image, resample: PILImage.Resampling = PILImage.Resampling.LANCZOS
) -> PILImage.Image:
    """A tile of the middle of a picture, as much of it as has the shape of a tile."""
    width, height = picture.size
    scale = min(width / TILE[0], height / TILE[1])
    left, top = (width - scale * TILE[0]) / 2, (height - scale * TILE[1]) / 2
    box = (left, top, left + scale * TILE[0], top + scale * TILE[1])
    return picture.resize(TILE, resample, box=box)


def tag(tile: PILImage.Image, labels: NDArray[np.int32], names: Mapping[int, str]) -> None:
    """Write the name of every class into its largest region, where that is widest."""
    seen = np.asarray(fitted(PILImage.fromarray(labels), PILImage.Resampling.NEAREST))
    pen, font = ImageDraw.Draw(tile), ImageFont.load_default(13)
    for cluster in np.unique(seen).tolist():
        parts, count = ndimage.label(seen == cluster)
        if cluster not in names or count == 0:
            continue
        sizes = np.bincount(parts.ravel())[1:]
        if sizes.max() < TAGGED * seen.size:
            continue
        inside = ndimage.distance_transform_edt(np.pad(parts == sizes.argmax() + 1, 1))[1:-1, 1:-1]
        y, x = np.unravel_index(int(inside.argmax()), inside.shape)
        half = pen.textlength(names[cluster], font) / 2 + 5
        centre = min(max(float(x), half), TILE[0] - half)
        middle = min(max(float(y), 10.0), TILE[1] - 10.0)
        pen.rounded_rectangle((centre - half, middle - 9, centre + half, middle + 9), 4, TAG)
        pen.text((centre, middle), names[cluster], BACKGROUND, font, anchor="mm")


def draw(sources: Sequence[Source], classes: int, seed: int, backbone: str | None = None) -> bytes:
    """The picture as PNG; without the last two bits of each colour, which nobody sees, it takes two
    thirds of the size.
    """
    known = {source.title for source in sources}
    with tempfile.TemporaryDirectory() as folder:
        run = segmented(sources, Path(folder), classes, seed, backbone)
        rows = [
            [painted(run, f"{title}-{view}.png") for title, view in row if title in known]
            for row in SHOWN
        ]
        sheet = arranged([row for row in rows if row], names_at(run, PLACES))
    buffer = io.BytesIO()
    ImageOps.posterize(sheet, 6).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> None:
    """Segment, paint, arrange, save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of the fit")
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--backbone", help="default: that of the package")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    data = draw(FREE, arguments.classes, arguments.seed, arguments.backbone)
    atomic_write(arguments.out, data)
    print(f"{arguments.out}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
