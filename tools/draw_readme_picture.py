"""Draw ``docs/images/overview.png``, the picture that opens the README: drawn scenes, their mask proposals, their label maps.

    python tools/draw_readme_picture.py

No photograph is involved: every scene is made here from a seed. What the package finds in them is real: a `Segmenter` on the
``texture`` backbone is fitted to all scenes without labels, and the first three are shown. Layouts and colours were chosen by eye
until the picture was clear: it illustrates the method and measures nothing. Equal versions of the dependencies give an equal
picture. Takes about a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont

import primaps as pm
from primaps.config import preset_config
from primaps.outputs.visualize import overlay, palette

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "overview.png"
COLUMNS = ("image", "mask proposals", "label map")
HEIGHT, WIDTH = 320, 480
CLASSES = 8
TILE, MARGIN, GAP, HEAD = (374, 249), 23, 16, 34
BACKGROUND, INK = (252, 252, 250), (60, 64, 70)
CLASS_COLOURS = palette(CLASSES)
PROPOSAL_COLOURS = np.roll(palette(40), -5, axis=0)  # not those of the classes: ids of proposals mean nothing across images

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Scene:
    """What stands where; lengths are fractions of the height or width.

    Attributes:
        ground: "sea" or "field".
        horizon: Where the ground begins.
        hills: Height of the hills above the horizon; 0 = none.
        sun: (x, y) of the sun, or None.
        house: (x, size) of a house, or None.
        trees: (x, size) of every tree.
    """

    ground: str
    horizon: float
    hills: float = 0.0
    sun: tuple[float, float] | None = None
    house: tuple[float, float] | None = None
    trees: tuple[tuple[float, float], ...] = ()


SCENES = (
    Scene("field", 0.56, house=(0.16, 0.42), trees=((0.78, 0.56),)),
    Scene("sea", 0.58, hills=0.26, sun=(0.24, 0.20)),
    Scene("field", 0.55, sun=(0.80, 0.18), trees=((0.22, 0.62), (0.45, 0.38))),
    Scene("sea", 0.50, sun=(0.65, 0.22)),
    Scene("sea", 0.66, hills=0.30),
    Scene("field", 0.58, hills=0.28, trees=((0.15, 0.42),)),
    Scene("field", 0.66, hills=0.20, house=(0.62, 0.42), sun=(0.18, 0.2)),
    Scene("field", 0.52, house=(0.42, 0.38), trees=((0.12, 0.46), (0.86, 0.52))),
    Scene("sea", 0.62, hills=0.18, sun=(0.8, 0.16)),
    Scene("field", 0.60, hills=0.18, trees=((0.35, 0.5), (0.6, 0.58), (0.85, 0.44))),
    Scene("sea", 0.54, hills=0.34),
    Scene("field", 0.64, hills=0.30, house=(0.10, 0.36), trees=((0.62, 0.4), (0.82, 0.56))),
    Scene("field", 0.62, hills=0.32, house=(0.16, 0.38), trees=((0.78, 0.54),)),
)


# ---- drawing ---------------------------------------------------------------------------------------------------------------


def draw(scene: Scene, generator: np.random.Generator) -> Picture:
    """(320, 480, 3) uint8 RGB picture of a scene."""
    canvas = _sky(generator)
    if scene.sun is not None:
        canvas = _sun(canvas, *scene.sun)
    if scene.hills:
        for share, colour in ((1.0, (146, 128, 138)), (0.6, (118, 102, 108))):
            canvas = _hills(canvas, scene, share, colour, generator)
    canvas = _ground(canvas, scene, generator)
    foot = scene.horizon + 0.08
    if scene.house is not None:
        canvas = _house(canvas, *scene.house, foot, generator)
    for x, size in scene.trees:
        canvas = _tree(canvas, x, size, foot + 0.06, generator)
    return (canvas + generator.normal(scale=1.5, size=(HEIGHT, WIDTH, 1))).round().clip(0, 255).astype(np.uint8)


def _noise(generator: np.random.Generator, rows: int, columns: int) -> Array:
    """(320, 480) smooth noise in about [-1, 1], with so many grains down and across."""
    grains = PILImage.fromarray(generator.uniform(-1, 1, size=(rows, columns)).astype(np.float32))
    return np.asarray(grains.resize((WIDTH, HEIGHT), PILImage.Resampling.BICUBIC), dtype=np.float64)


def _filled(colour: Colour, shade: Array, strength: float) -> Array:
    """(320, 480, 3) a colour made lighter and darker by noise."""
    return np.array(colour, dtype=np.float64) + strength * shade[..., None]


def _painted(canvas: Array, shape: PILImage.Image, paint: Array) -> Array:
    """The canvas with paint inside a shape: a mask of three times the size, so that its border is smooth."""
    alpha = np.asarray(shape.resize((WIDTH, HEIGHT), PILImage.Resampling.BOX), dtype=np.float64)[..., None] / 255
    blend: Array = canvas * (1 - alpha) + paint * alpha
    return blend


def _shape() -> tuple[PILImage.Image, ImageDraw.ImageDraw]:
    mask = PILImage.new("L", (3 * WIDTH, 3 * HEIGHT))
    return mask, ImageDraw.Draw(mask)


def _sky(generator: np.random.Generator) -> Array:
    height = np.linspace(0, 1, HEIGHT)[:, None, None]
    sky = (1 - height) * np.array([104, 166, 230.0]) + height * np.array([166, 206, 240.0])
    billows = 0.7 * _noise(generator, 6, 4) + 0.5 * _noise(generator, 14, 9)
    clouds = (billows[..., None] - 0.2 - 1.2 * (height - 0.25).clip(0)).clip(0, 0.7)  # none at the horizon
    canvas: Array = sky * (1 - clouds) + 250.0 * clouds
    return canvas


def _sun(canvas: Array, x: float, y: float) -> Array:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(rows - y * HEIGHT, columns - x * WIDTH)
    halo = 0.5 * np.exp(-(((distance - 30).clip(0) / 24) ** 2))[..., None]
    disc = (31 - distance).clip(0, 1)[..., None]
    canvas = canvas * (1 - halo) + np.array([255, 238, 170.0]) * halo
    sunny: Array = canvas * (1 - disc) + np.array([255, 205, 70.0]) * disc
    return sunny


def _hills(canvas: Array, scene: Scene, share: float, colour: Colour, generator: np.random.Generator) -> Array:
    x = np.linspace(0, 1, 200)
    ridge = sum(generator.uniform(0.3, 1) * np.sin(x * f * np.pi + generator.uniform(0, 6)) / f for f in (1.7, 3.1, 7.3, 15.1))
    ridge = scene.horizon - share * scene.hills * (0.55 + 0.45 * ridge / np.abs(ridge).max())
    mask, pen = _shape()
    outline = [(a * 3 * WIDTH, b * 3 * HEIGHT) for a, b in zip(x, ridge, strict=True)]
    pen.polygon([(0, 3 * HEIGHT), *outline, (3 * WIDTH, 3 * HEIGHT)], fill=255)
    rock = 0.6 * _noise(generator, 30, 40) + 0.4 * _noise(generator, 80, 120)
    return _painted(canvas, mask, _filled(colour, rock, 12))


def _ground(canvas: Array, scene: Scene, generator: np.random.Generator) -> Array:
    mask, pen = _shape()
    pen.rectangle((0, scene.horizon * 3 * HEIGHT, 3 * WIDTH, 3 * HEIGHT), fill=255)
    if scene.ground == "sea":
        waves = 0.5 * _noise(generator, 40, 12) + 0.5 * _noise(generator, 110, 24)
        return _painted(canvas, mask, _filled((38, 104, 152), waves, 22))
    grass = 0.5 * _noise(generator, 60, 200) + 0.5 * _noise(generator, 24, 30)
    return _painted(canvas, mask, _filled((168, 184, 84), grass, 20))


def _house(canvas: Array, x: float, size: float, foot: float, generator: np.random.Generator) -> Array:
    side, left, bottom = 3 * HEIGHT * size, 3 * WIDTH * x, 3 * HEIGHT * foot
    right, eaves = left + 1.25 * side, bottom - 0.58 * side
    grain = 0.5 * _noise(generator, 107, 20) + 0.5 * np.sign(np.sin(np.arange(HEIGHT) * 0.9))[:, None]
    mask, pen = _shape()
    pen.rectangle((left, eaves, right, bottom), fill=255)
    canvas = _painted(canvas, mask, _filled((230, 210, 192), grain, 3))
    mask, pen = _shape()
    ridge = eaves - 0.46 * side
    outline = [(left - 0.1 * side, eaves), (left + 0.2 * side, ridge), (right - 0.2 * side, ridge), (right + 0.1 * side, eaves)]
    pen.polygon(outline, fill=255)
    canvas = _painted(canvas, mask, _filled((188, 74, 56), grain, 10))
    mask, pen = _shape()
    pen.rectangle((left + 0.18 * side, eaves + 0.16 * side, left + 0.42 * side, eaves + 0.36 * side), fill=255)
    pen.rectangle((right - 0.42 * side, eaves + 0.16 * side, right - 0.18 * side, bottom), fill=255)
    return _painted(canvas, mask, _filled((96, 84, 84), grain, 4))


def _tree(canvas: Array, x: float, size: float, foot: float, generator: np.random.Generator) -> Array:
    side, middle, bottom = 3 * HEIGHT * size, 3 * WIDTH * x, 3 * HEIGHT * foot
    mask, pen = _shape()
    pen.rectangle((middle - 0.05 * side, bottom - 0.5 * side, middle + 0.05 * side, bottom), fill=255)
    canvas = _painted(canvas, mask, _filled((104, 76, 54), _noise(generator, 20, 160), 10))
    mask, pen = _shape()
    for _ in range(14):
        angle, reach = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.2)
        centre = (middle + 1.1 * reach * side * np.cos(angle), bottom - 0.66 * side + reach * side * np.sin(angle))
        pen.circle(centre, generator.uniform(0.12, 0.19) * side, fill=255)
    leaves = 0.5 * _noise(generator, 60, 90) + 0.5 * _noise(generator, 110, 160)
    return _painted(canvas, mask, _filled((54, 104, 52), leaves, 26))


# ---- segmenting and arranging ----------------------------------------------------------------------------------------------


def segmented(images: list[Picture], shown: int, seed: int) -> list[tuple[Picture, Picture, Picture]]:
    """For each of the first images: itself, its mask proposals and its label map, painted."""
    backbone = pm.load_backbone("texture", device="cpu")
    segmenter = pm.Segmenter(backbone, num_clusters=CLASSES, seed=seed, config=preset_config("fast"))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index:02}.png" for index in range(len(images))]
        for path, image in zip(paths, images, strict=True):
            PILImage.fromarray(image).save(path)
        segmenter.fit(paths)
    rows = []
    for image in images[:shown]:
        proposals = pm.mask_proposals(image, backbone.extract(image, size=320), threshold=backbone.threshold)
        painted = overlay(image, proposals.label_image, PROPOSAL_COLOURS, ignore=0)
        rows.append((image, painted, overlay(image, segmenter.predict(image, crf=True), CLASS_COLOURS)))
    return rows


def arranged(rows: list[tuple[Picture, Picture, Picture]]) -> PILImage.Image:
    """The rows on a light sheet, with a title over each column."""
    width = 2 * MARGIN + len(COLUMNS) * TILE[0] + (len(COLUMNS) - 1) * GAP
    height = MARGIN + HEAD + len(rows) * (TILE[1] + GAP) - GAP + MARGIN
    sheet = PILImage.new("RGB", (width, height), BACKGROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(19)
    for column, title in enumerate(COLUMNS):
        left = MARGIN + column * (TILE[0] + GAP)
        pen.text((left + TILE[0] / 2, MARGIN + HEAD / 2 - 6), title, INK, font, anchor="mm")
        for row, pictures in enumerate(rows):
            tile = PILImage.fromarray(pictures[column]).resize(TILE, PILImage.Resampling.LANCZOS)
            sheet.paste(tile, (left, MARGIN + HEAD + row * (TILE[1] + GAP)))
    return sheet


def main() -> None:
    """Draw, fit, predict, arrange, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the drawings and of the fit")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    generators = np.random.default_rng(arguments.seed).spawn(len(SCENES))
    images = [draw(scene, generator) for scene, generator in zip(SCENES, generators, strict=True)]
    sheet = arranged(segmented(images, shown=3, seed=arguments.seed))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    # 256 colours: a third of the size of true colour, and no visible difference
    sheet.quantize(256, PILImage.Quantize.MEDIANCUT, kmeans=2, dither=PILImage.Dither.NONE).save(arguments.out, optimize=True)
    print(f"{arguments.out}: {sheet.width} x {sheet.height}, {arguments.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
