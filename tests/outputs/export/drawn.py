"""Small drawn images with difficult label maps, and their way through an exporter."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from PIL import Image

from primaps.data.upright import standing, upright_bytes
from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import ExportImage, ExportOptions, Record
from primaps.outputs.export.registry import find_exporter
from primaps.outputs.export.target import Target
from primaps.types import ClassTable, NamedClass

CLASSES = ClassTable(
    9,
    (
        NamedClass(0, "road", (230, 25, 75), (0, 7)),
        NamedClass(1, 'the "big" sky\'s <blue>', (60, 140, 255), (1,)),
        NamedClass(3, None, (255, 210, 30), (3,)),
        NamedClass(4, "Bäume & Häuser 🌳", (255, 210, 30), (4,)),
        NamedClass(5, "shadow", (9, 9, 9), (5,), ignore=True),
        NamedClass(6, "road", (0, 0, 0), (6,)),
        NamedClass(8, "never seen", (160, 70, 220), ()),
    ),
)
"""Merged, unnamed, ignored, equal names, equal colours, a black one, one without pixels."""
IDS = (0, 1, 3, 4, 6)
"""Of the classes that occur."""
NAMES = {
    0: "road",
    1: 'the "big" sky\'s <blue>',
    3: "class 3",
    4: "Bäume & Häuser 🌳",
    6: "road (2)",
    8: "never seen",
}
"""As exports write them, by id."""


def label_maps():
    """(H, W) uint8 class ids by name of the image."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:24, :36]
    discs = np.full((24, 36), 0, np.uint8)
    distance = np.hypot(rows - 12, columns - 16)
    for radius, class_id in ((10, 1), (7, 3), (5, 1), (2, 255)):
        discs[distance < radius] = class_id
    discs[:, 30:] = 4
    islands = np.full((24, 36), 6, np.uint8)
    islands[::4, ::5] = 0
    islands[1::4, 1::5] = 0
    islands[0, 0] = islands[-1, -1] = islands[0, -1] = 4
    noise = generator.choice(np.array([0, 1, 3, 4, 6, 255], np.uint8), (17, 23))
    tall = np.repeat(noise[:, :13], 2, axis=0)
    return {
        "a.jpg": discs,
        "a.png": np.flipud(discs),
        "empty.png": np.full((9, 11), 255, np.uint8),
        "full.png": np.full((9, 11), 3, np.uint8),
        "one pixel.png": np.full((1, 1), 4, np.uint8),
        "sub/50% 100%25 grün & 'x' 🚗.png": noise,
        "sub/deep er/islands.png": islands,
        "turned.jpg": tall,
    }


def write_photographs(folder):
    """One photograph per label map, ``turned.jpg`` on its side with an EXIF tag; paths by name."""
    paths = {}
    for number, (name, labels) in enumerate(label_maps().items()):
        height, width = labels.shape
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels)
        if name == "turned.jpg":
            exif = Image.Exif()
            exif[0x0112] = 6
            picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
        else:
            picture.save(path)
        paths[name] = path
    return paths


@dataclasses.dataclass
class Export:
    """An export that is done."""

    root: Path
    images: list

    def labels(self, name):
        """(H, W) uint8 class ids."""
        return label_maps()[name]


def make_export(folder, format_name, *, splits=(), polygons=False, link=False, paths=None):
    """Write the drawn images in a format.

    Args:
        folder: For photographs and export.
        format_name: Name of the format.
        splits: Names of the parts; images go to them in turn.
        polygons: See `ExportOptions`.
        link: See `Target`.
        paths: Photographs by name; None = drawn ones.
    """
    maps = label_maps()
    paths = paths or write_photographs(folder / "photos")
    stems = {"a.jpg": "a_jpg", "a.png": "a_png"}
    images = []
    for number, (name, path) in enumerate(sorted(paths.items())):
        lies = standing(path)
        image = ExportImage(
            name=name,
            stem=stems.get(name, name.rpartition(".")[0]),
            split=splits[number % len(splits)] if splits else "train",
            path=path,
            height=lies.height,
            width=lies.width,
            turned=lies.turned,
            photograph=functools.partial(upright_bytes, path),
            label_map=functools.partial(maps[name].copy),
        )
        images.append(image)
    root = folder / "export"
    exporter = find_exporter(format_name)(
        Target(root, link=link), ExportClasses.of(CLASSES), ExportOptions(tuple(splits), polygons)
    )
    done = [Record(image, exporter.add(image)) for image in images]
    exporter.finish(
        lambda split=None: iter([r for r in done if split is None or r.image.split == split])
    )
    return Export(root, images)


def painted(shape, masks):
    """(H, W) uint8 label map of class ids and their (H, W) masks, which must not overlap."""
    labels = np.full(shape, 255, np.uint8)
    for class_id, given in masks:
        mask = np.asarray(given, bool)
        assert mask.shape == tuple(shape)
        assert (labels[mask] == 255).all(), "masks overlap"
        labels[mask] = class_id
    return labels
