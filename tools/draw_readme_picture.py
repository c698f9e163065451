"""Draw ``docs/images/overview.png``, the picture that opens the README: photographs, their mask
proposals, their label maps.

    python tools/draw_readme_picture.py

The photographs are those of the demo that are free of any condition (CC0 or public domain;
scikit-image carries them, extra ``demo``), each cut into overlapping views. What is drawn is read
from the files of one run of the main job over all views, with the default backbone and preset and
without labels; of every photograph two views are shown. The number of classes was chosen by eye:
the picture illustrates the method and measures nothing. Equal versions of the dependencies give an
equal picture. Takes about a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont, ImageOps

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
SHOWN = ("left", "below")
COLUMNS = ("photograph", "mask proposals", "label map")
CLASSES = 10
TILE, MARGIN, GAP, HEAD = (184, 124), 20, 6, 30
BETWEEN = 26
"""Pixels between the two views of a photograph."""
BACKGROUND, INK = (252, 252, 250), (60, 64, 70)
CLASS_COLOURS = palette(40)
# not those of the classes: ids of proposals mean nothing across images
PROPOSAL_COLOURS = np.roll(palette(40), -5, axis=0)

Picture = NDArray[np.uint8]


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


def painted(run: Run, name: str) -> tuple[Picture, Picture, Picture]:
    """A view, its mask proposals and its label map, all as (h, w, 3) uint8 RGB of the view's
    size.
    """
    (path,) = (image.path for image in run.images if image.name == name)
    photo = pm.read_image(path)
    proposals = read_label_image(run.folder.proposals(name), photo.shape[:2])
    labels = read_label_image(run.folder.labels(name), photo.shape[:2])
    return (
        photo,
        paint(photo, proposals, PROPOSAL_COLOURS, ignore=0),
        paint(photo, labels, CLASS_COLOURS, alpha=0.65),
    )


def arranged(rows: Sequence[Sequence[tuple[Picture, Picture, Picture]]]) -> PILImage.Image:
    """A row for each photograph, its views beside one another, on a light sheet with a title over
    each column.
    """
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
            for row, pictures in enumerate(rows):
                sheet.paste(
                    fitted(pictures[view][column]), (left, MARGIN + HEAD + row * (TILE[1] + GAP))
                )
    return sheet


def fitted(picture: Picture) -> PILImage.Image:
    """A tile of the middle of a picture, as much of it as has the shape of a tile."""
    height, width = picture.shape[:2]
    scale = min(width / TILE[0], height / TILE[1])
    left, top = (width - scale * TILE[0]) / 2, (height - scale * TILE[1]) / 2
    box = (left, top, left + scale * TILE[0], top + scale * TILE[1])
    return PILImage.fromarray(picture).resize(TILE, PILImage.Resampling.LANCZOS, box=box)


def draw(sources: Sequence[Source], classes: int, seed: int, backbone: str | None = None) -> bytes:
    """The picture as PNG; without the last two bits of each colour, which nobody sees, it takes two
    thirds of the size.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = segmented(sources, Path(folder), classes, seed, backbone)
        sheet = arranged(
            [[painted(run, f"{source.title}-{view}.png") for view in SHOWN] for source in sources]
        )
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
