"""Draw the pictures of ``docs/understand/`` and ``docs/start/``: the method step by step.

    python tools/draw_method_pictures.py [NAME...]

The photographs are those of the demo that are free of any condition (CC0 or public domain), as in
the picture of the README; everything drawn is computed by the package with the default backbone and
preset, without labels. ``em-prototypes`` runs the code of ``docs/understand/em-in-ten-minutes.md``
as it stands there. Equal versions of the dependencies give equal pictures. Takes about a minute.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from draw_readme_picture import BACKGROUND, CLASS_COLOURS, CLASSES, FREE, INK, painted, segmented
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageDraw, ImageFont
from torch.nn import functional as F

import primaps as pm
from primaps.config import Config, preset_config
from primaps.data.demo_views import Source, photographs, write_views
from primaps.outputs.png import png_picture
from primaps.outputs.visualize import paint, palette, resize_labels
from primaps.pipeline.drawing_steps import picture_of_steps
from primaps.pipeline.features_and_proposals import as_image
from primaps.proposals.extract import extract_proposals
from primaps.proposals.principal import MASK_LIMIT, principal_masks
from primaps.runs.run import Run
from primaps.runs.store import atomic_write
from primaps.types import FeatureExtractor, ImageFile

DOCS: Final = Path(__file__).parents[1] / "docs"
OUTPUT: Final = DOCS / "images"
PAGE: Final = DOCS / "understand" / "em-in-ten-minutes.md"
SUBJECT: Final = "coffee"
"""The photograph that is followed step by step."""
QUALITY: Final = 78
ROUNDS: Final = 4
TILE_WIDTH, SMALL_TILE = 300, 240
GAP, MARGIN, HEAD = 8, 14, 26

Picture = NDArray[np.uint8]


def sheet(rows: Sequence[Sequence[Picture]], titles: Sequence[str]) -> PILImage.Image:
    """Pictures in rows and columns, on a light sheet with a title over each column.

    Args:
        rows: (H, W, 3) uint8 each, all of one size.
        titles: One for each column.
    """
    height, width = rows[0][0].shape[:2]
    columns = len(titles)
    whole = PILImage.new(
        "RGB",
        (
            2 * MARGIN + columns * (width + GAP) - GAP,
            2 * MARGIN + HEAD + len(rows) * (height + GAP) - GAP,
        ),
        BACKGROUND,
    )
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(15)
    for column, title in enumerate(titles):
        left = MARGIN + column * (width + GAP)
        pen.text((left + width / 2, MARGIN + HEAD / 2 - 4), title, INK, font, anchor="mm")
        for row, pictures in enumerate(rows):
            whole.paste(
                PILImage.fromarray(pictures[column]), (left, MARGIN + HEAD + row * (height + GAP))
            )
    return whole


def scaled(picture: Picture, width: int, *, smooth: bool = True) -> Picture:
    """A picture of another width; cells stay sharp unless it is smoothed."""
    height = round(picture.shape[0] * width / picture.shape[1])
    how = PILImage.Resampling.LANCZOS if smooth else PILImage.Resampling.NEAREST
    return np.asarray(PILImage.fromarray(picture).resize((width, height), how))


def feature_colours(features: torch.Tensor) -> Picture:
    """(h, w, 3) uint8: the three directions in which (C, h, w) features differ most, as colours."""
    tokens = F.normalize(features.flatten(1).T.double(), dim=1)
    _, _, directions = torch.linalg.svd(tokens - tokens.mean(0), full_matrices=False)
    three = directions[:3]
    three = three * three.gather(1, three.abs().argmax(1, keepdim=True)).sign()
    values = (tokens - tokens.mean(0)) @ three.T
    low, high = values.quantile(0.02, 0), values.quantile(0.98, 0)
    shown = ((values - low) / (high - low)).clamp(0, 1).view(*features.shape[1:], 3)
    colours: Picture = (shown * 255).round().byte().numpy()
    return colours


def draw_features(source: Source, backbone: FeatureExtractor) -> bytes:
    """A photograph, the cells of its tokens, and its features as colours."""
    image = pm.read_image(photographs([source])[source])
    features = backbone.extract(image)
    small = scaled(image, TILE_WIDTH)
    grid = small.copy()
    for axis, count in ((0, features.shape[1]), (1, features.shape[2])):
        lines = (np.arange(1, count) * grid.shape[axis] / count).astype(int)
        place = (lines, slice(None)) if axis == 0 else (slice(None), lines)
        grid[place] = grid[place] // 2 + 110
    colours = scaled(feature_colours(features), TILE_WIDTH, smooth=False)
    colours = np.asarray(PILImage.fromarray(colours).resize(small.shape[1::-1], 0))
    tokens = f"{features.shape[2]} x {features.shape[1]} tokens"
    return jpeg(sheet([[small, grid, colours]], ("photograph", tokens, "features as colours")))


def draw_rounds(source: Source, backbone: FeatureExtractor, config: Config) -> bytes:
    """The rounds of the extraction as `primaps proposals --steps` draws them, the first ones."""
    path = photographs([source])[source]
    image = ImageFile(path, path.name)
    data = picture_of_steps(image, backbone, config, float(backbone.threshold or 0.4), ROUNDS)
    picture = PILImage.fromarray(png_picture(data))
    return jpeg(picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)))


def draw_crf(source: Source, backbone: FeatureExtractor, config: Config) -> bytes:
    """Masks as tokens give them, and as the CRF leaves them."""
    batch = backbone.preprocess(pm.read_image(photographs([source])[source]), config.features.size)
    image, features = np.asarray(as_image(batch, backbone)), backbone.forward(batch)[0]
    threshold = float(backbone.threshold or 0.4)
    raw = principal_masks(
        features[None],
        threshold,
        stop_fraction=config.proposals.stop_fraction,
        max_masks=MASK_LIMIT,
    ).similarity[0]
    ids = torch.where(raw.amax(0) > 0, raw.argmax(0) + 1, 0).numpy()
    before = resize_labels(ids.astype(np.int64), image.shape[:2])
    after = extract_proposals(
        image, features, threshold, config.proposals, config.predict.max_pixels
    ).label_image
    colours = np.roll(palette(40), 1, axis=0)
    pictures = [image] + [paint(image, each, colours, ignore=0) for each in (before, after)]
    return jpeg(
        sheet(
            [[scaled(each, TILE_WIDTH) for each in pictures]],
            (
                "photograph",
                f"{int(ids.max())} masks of tokens",
                f"{after.max()} proposals after the CRF",
            ),
        )
    )


def jpeg(picture: PILImage.Image) -> bytes:
    """The picture as a JPEG."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True, progressive=True)
    return buffer.getvalue()


def page_code(photos: Path) -> dict[str, Any]:
    """What the code of the page about EM leaves behind, run on other photographs than the
    reader's.
    """
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    code = "\n".join(blocks).replace("~/photos", str(photos))
    exec(compile(code, str(PAGE), "exec"), names)  # our own page
    return names


def owners(names: dict[str, Any], photos: Path) -> list[str]:
    """Of every class of the page's code the photograph that most of its area lies in."""
    files = sorted(photos.glob("*.*g"))
    whose = [
        file.name.partition("-")[0]
        for file, each in zip(files, names["found"], strict=True)
        for _ in each.areas
    ]
    kinds = sorted(set(whose))
    areas = torch.zeros(names["K"], len(kinds))
    places = (names["classes"], torch.tensor([kinds.index(each) for each in whose]))
    areas.index_put_(places, names["areas"], accumulate=True)
    return [kinds[int(each)] for each in areas.argmax(1)]


def draw_em(photos: Path) -> bytes:
    """Proposals in the plane in which they differ most, the paths of the prototypes, and what the
    classes own.
    """
    from matplotlib.figure import Figure

    names = page_code(photos)
    means, areas = F.normalize(names["means"], dim=1), names["areas"].numpy()
    path = F.normalize(torch.stack(names["path"]), dim=2)
    _, _, plane = torch.linalg.svd((means - means.mean(0)).double(), full_matrices=False)
    axes = plane[:2].T.float()
    dots, lines = ((each - means.mean(0)) @ axes for each in (means, path))
    colours = CLASS_COLOURS[: names["K"]] / 255
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    of_dots = colours[names["classes"].numpy()]
    left.scatter(*dots.numpy().T, s=areas / 4 + 4, c=of_dots, alpha=0.55, lw=0)
    titles = owners(names, photos)
    shares = torch.stack(
        [
            torch.zeros(names["K"]).index_add_(0, (means @ each.T).argmax(1), names["areas"])
            for each in path
        ]
    )
    for k, colour in enumerate(colours):
        way = lines[:, k].numpy()
        left.plot(*way.T, color="black", lw=3)
        left.plot(*way.T, color=colour, lw=1.6)
        left.plot(*way[0], "o", mfc="white", mec=colour, mew=2, ms=7)
        left.plot(*way[-1], "X", mfc=colour, mec="black", ms=10)
        left.annotate(titles[k], way[-1], (7, 5), textcoords="offset points", fontsize=9)
        share = (100 * shares[:, k] / shares[0].sum()).numpy()
        right.plot(share, color=colour, lw=2)
    left.set_title("proposals and prototypes", fontsize=10)
    left.set_xticks([])
    left.set_yticks([])
    right.set_title("share of the area in per cent", fontsize=10)
    right.set_xlabel("step")
    right.set_ylim(bottom=0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90, metadata={"Software": None})
    return buffer.getvalue()


def draw_classes(run: Run, sources: Sequence[Source]) -> bytes:
    """A view of each photograph, its proposals, its label map, and that of another view."""
    rows = []
    for source in sources:
        names = (f"{source.title}-{view}.png" for view in ("left", "below"))
        first, second = (painted(run, name).pictures for name in names)
        rows.append([scaled(each, SMALL_TILE) for each in (*first, second[2])])
    height = min(each.shape[0] for row in rows for each in row)
    rows = [[each[:height] for each in row] for row in rows]
    titles = ("photograph", "its mask proposals", "its label map", "label map of another view")
    return jpeg(sheet(rows, titles))


def pictures(folder: Path) -> dict[str, Callable[[], bytes]]:
    """What draws each picture, by the name of its file."""
    backbone, config = pm.load_backbone(device="cpu"), preset_config("default")
    subject = next(source for source in FREE if source.title == SUBJECT)

    def views() -> Path:
        write_views(folder / "views", FREE)
        return folder / "views"

    return {
        "method-features.jpg": lambda: draw_features(subject, backbone),
        "method-rounds.jpg": lambda: draw_rounds(subject, backbone, config),
        "method-crf.jpg": lambda: draw_crf(subject, backbone, config),
        "method-classes.jpg": lambda: draw_classes(segmented(FREE, folder, CLASSES, 0), FREE),
        "em-prototypes.png": lambda: draw_em(views()),
    }


def main() -> None:
    """Draw them all, or those that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--out", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in pictures(Path(folder)).items():
            if not arguments.names or name in arguments.names:
                data = draw()
                atomic_write(arguments.out / name, data)
                print(f"{arguments.out / name}: {len(data) / 1000:.0f} kB")


if __name__ == "__main__":
    main()
