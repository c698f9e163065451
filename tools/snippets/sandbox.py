"""The folder in which a reader works: photographs, a run, small stand-ins for data sets.

Its photographs are cuttings of those that scikit-image and scikit-learn carry.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from snippets.pages import ROOT

SIZE: Final = (144, 96)
VARIABLES: Final = ("CAMVID", "MSRC", "CITYSCAPES", "COCOSTUFF", "POTSDAM")
"""Data sets, as folders and as variables of the shell."""
CHECKOUT: Final = ("docs", "tools", "benchmarks", "examples", "src", "tests", "Makefile")
"""What is also there, as in a clone."""


def prepare(home: Path) -> None:
    """Lay everything down but the run."""
    for folder in ("photos", "more", "new-photos"):
        (home / folder).mkdir(parents=True)
    for name, image in _photographs().items():
        image.save(home / "photos" / f"{name}.jpg", quality=92)
    shutil.copyfile(home / "photos" / "street.jpg", home / "street.jpg")
    shutil.copyfile(home / "photos" / "coffee.jpg", home / "photo.jpg")
    shutil.copyfile(home / "photos" / "flower.jpg", home / "more" / "flower.jpg")
    shutil.copyfile(home / "photos" / "cat.jpg", home / "new-photos" / "cat.jpg")
    trees = _builders()
    _camvid(home / "CAMVID", trees)
    _msrc(home / "MSRC", trees)
    trees.write_cityscapes(home / "CITYSCAPES")
    trees.write_cocostuff(home / "COCOSTUFF")
    trees.write_potsdam(home / "POTSDAM")
    for name in CHECKOUT:
        (home / name).symlink_to(ROOT / name)
    for copy, original in (("ROOT", "COCOSTUFF"), ("PHOTOS", "photos")):
        shutil.copytree(home / original, home / copy)


MAKING: Final = (
    "primaps segment ~/photos --classes auto --out run",
    "primaps head hp fit --images ~/photos --backbone dino_vits8_300ep --classes 27 --out HEAD",
    "primaps head stego fit --images ~/photos --backbone dino_vits8 --classes 27 --out my-head",
)
"""Commands that make the rest."""


def copy_run(home: Path) -> None:
    """The run under the name that some pages give it."""
    shutil.copytree(home / "run", home / "RUN")


def _photographs() -> dict[str, Image.Image]:
    from sklearn.datasets import load_sample_images

    data: Any = importlib.import_module("skimage.data")
    temple, flower = load_sample_images().images
    found = {
        "astronaut": data.astronaut(),
        "cat": data.chelsea(),
        "coffee": data.coffee(),
        "flower": flower,
        "rocket": data.rocket(),
        "street": temple,
    }
    for name, pixels in found.items():
        found[name] = Image.fromarray(pixels)
        found[name].thumbnail(SIZE)
    return found


def _builders() -> Any:
    """The module that draws data sets for the tests."""
    path = ROOT / "tests" / "data" / "trees.py"
    spec = importlib.util.spec_from_file_location("drawn_data_sets", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _camvid(root: Path, trees: Any) -> None:
    for split, count in (("train", 3), ("val", 2)):
        _pairs(root / split, root / f"{split}annot", count, trees)


def _msrc(root: Path, trees: Any) -> None:
    _pairs(root / "train", root / "trainannot", 3, trees)
    names = [f"class {number}" for number in range(23)]
    (root / "classes.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def _pairs(images: Path, labels: Path, count: int, trees: Any) -> None:
    """Scenes of five of eleven classes each."""
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for number in range(count):
        ids = [(number * 5 + each) % 11 for each in range(5)]
        image, truth = trees.draw_scene(number, ids, 64, 96)
        Image.fromarray(image).save(images / f"{number}.png")
        Image.fromarray(truth.astype(np.uint8)).save(labels / f"{number}.png")
