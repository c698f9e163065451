"""Miniature data sets in the published layouts, with pictures drawn by code.

Other tests get this module through the fixture ``trees``: ``trees.write_cityscapes(tmp_path)``.
"""

from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

CITYSCAPES_IDS = (23, 11, 7, 26, 1)
"""Sky, building, road, car; ego vehicle, which is no class."""
COCOSTUFF_IDS = (156, 123, 154, 17, 255)
"""Sky, grass, sea, an animal; unlabelled."""
POTSDAM_IDS = (2, 1, 0, 4, 5)
"""Low vegetation, building, road, car, clutter."""
CURATED = "Coco164kFull_Stuff_Coarse_7.txt"
CURATED_LARGE = "Coco164kFull_Stuff_Coarse.txt"


def draw_scene(seed, ids, height=96, width=128):
    """Three bands with wavy borders, two boxes in the lowest, and a strip at the bottom, each with
    a texture of its own.

    Args:
        seed: Of the scene.
        ids: Label ids of the upper, middle and lower band, the boxes and the strip.
        height: Pixels.
        width: Pixels.

    Returns:
        (H, W, 3) uint8 image and (H, W) int64 label ids.
    """
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    wave = (
        np.sin(columns / width * 2 * np.pi * generator.uniform(0.5, 2) + generator.uniform(0, 6))
        * height
        * 0.06
    )
    labels = np.full((height, width), ids[0])
    labels[rows > height * generator.uniform(0.25, 0.35) + wave] = ids[1]
    labels[rows > height * generator.uniform(0.5, 0.6) - wave] = ids[2]
    for left in generator.uniform([0.05, 0.55], [0.25, 0.75]):
        top, first = int(height * 0.68), int(width * left)
        labels[top : top + height // 6, first : first + width // 5] = ids[3]
    labels[-max(2, height // 16) :] = ids[4]
    image = np.empty((height, width, 3))
    for label in np.unique(labels):
        image[labels == label] = _texture(label, rows, columns)[labels == label]
    return (image + generator.normal(scale=6, size=image.shape)).clip(0, 255).astype(
        np.uint8
    ), labels


def _texture(label, rows, columns):
    """(H, W, 3) colour and stripes that depend on the label id alone."""
    look = np.random.default_rng([label, 7])
    angle, period = look.uniform(0, np.pi), look.uniform(4, 12)
    stripes = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / period * 2 * np.pi)
    return look.uniform(40, 215, 3) + look.uniform(-30, 30, 3) * stripes[..., None]


def write_cityscapes(root, splits=(("train", 3), ("val", 2)), size=(96, 128)):
    """Cityscapes: PNG images, label ids and instance ids, by city. Returns the root."""
    for split, count in splits:
        for index in range(count):
            city = ("aachen", "zurich")[index % 2]
            stem = f"{city}_{index:06d}_000019"
            image, labels = draw_scene([len(split), index], CITYSCAPES_IDS, *size)
            images, truths = root / "leftImg8bit" / split / city, root / "gtFine" / split / city
            for folder in (images, truths):
                folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(images / f"{stem}_leftImg8bit.png")
            Image.fromarray(labels.astype(np.uint8)).save(truths / f"{stem}_gtFine_labelIds.png")
            Image.fromarray((labels * 1000).astype(np.uint16)).save(
                truths / f"{stem}_gtFine_instanceIds.png"
            )
            (truths / f"{stem}_gtFine_polygons.json").write_text("{}", encoding="utf-8")
    return root


def write_cocostuff(root, splits=(("train", 3), ("val", 2)), size=(96, 128), *, large=False):
    """COCO-Stuff: JPEG images, PNG label maps, curated lists; one image more than the lists name.
    Returns the root.
    """
    for split, count in splits:
        year, names = f"{split}2017", [f"{139 + 585 * index:012d}" for index in range(count + 1)]
        images, truths, lists = (
            root / folder / year for folder in ("images", "annotations", "curated")
        )
        for folder in (images, truths, lists):
            folder.mkdir(parents=True, exist_ok=True)
        for index, name in enumerate(names):
            image, labels = draw_scene([len(split), index], COCOSTUFF_IDS, *size)
            Image.fromarray(image).save(images / f"{name}.jpg", quality=95)
            Image.fromarray(labels.astype(np.uint8)).save(truths / f"{name}.png")
        (lists / CURATED).write_text("".join(f"{name}\n" for name in names[:-1]), encoding="ascii")
        if large:
            (lists / CURATED_LARGE).write_text(
                "".join(f"{name}\n" for name in names), encoding="ascii"
            )
    return root


def write_potsdam(root, splits=(("train", 3), ("test", 2)), size=(96, 96)):
    """Potsdam: MAT tiles with an infrared channel, and the lists. Returns the root."""
    for folder in ("imgs", "gt"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    first = 0
    for split, count in splits:
        names = [str(first + index) for index in range(count)]
        for name in names:
            image, labels = draw_scene(int(name), POTSDAM_IDS, *size)
            infrared = np.full((*size, 1), 77, dtype=np.uint8)
            write_mat(root / "imgs" / f"{name}.mat", img=np.concatenate([image, infrared], axis=2))
            write_mat(root / "gt" / f"{name}.mat", gt=labels.astype(np.int32))
        (root / f"labelled_{split}.txt").write_text("\n".join(names) + "\n", encoding="ascii")
        first += count
    return root


def write_mat(path, **variables):
    """A MAT file of version 5."""
    scipy.io.savemat(Path(path), variables, do_compression=False)
