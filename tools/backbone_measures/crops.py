"""CamVid as square centre crops, its folds, and the features of the crops.

The protocol of Hamilton et al. (ICLR 2022) and Hahn et al. (TMLR 2024): short side to 320 pixels,
centre crop of 320 x 320 (322 for patches of 14), labels by nearest neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage

from primaps.data.dataset import LabelledDataset, load_dataset
from primaps.errors import ImageError
from primaps.evaluation.probe import token_labels
from primaps.features.preprocess import input_size
from primaps.types import FeatureExtractor, Image

SIZE: Final = 320
TOKEN_BYTES: Final = 10**9
"""Tokens to fit to take at most this much memory: beyond it, as many random ones of every image as
fit.
"""
FOLDS: Final = ("held-out", "val")

Crop = tuple[torch.Tensor, NDArray[np.int64]]
"""(C, h, w) float16 features on the CPU, and the (side, side) labels."""


@dataclass(frozen=True)
class Part:
    """Some images of a data set."""

    dataset: LabelledDataset
    indices: tuple[int, ...]


def fold(camvid: Path, name: str) -> tuple[Part, Part]:
    """The images to fit to and the images to measure on.

    Args:
        camvid: Folder of the data set.
        name: "val": train and val. "held-out": train without and with the last quarter of every
            sequence (the prefix of the file name up to "_"), so that val stays unseen while recipes
            are chosen.
    """
    train = load_dataset("camvid", camvid, "train")
    everything = tuple(range(len(train)))
    if name == "val":
        val = load_dataset("camvid", camvid, "val")
        return Part(train, everything), Part(val, tuple(range(len(val))))
    names = [path.name for path in train.image_paths]
    held = held_out(names)
    return Part(train, tuple(index for index in everything if index not in held)), Part(
        train, tuple(sorted(held))
    )


def held_out(names: list[str]) -> set[int]:
    """Indices of the last quarter (rounded down) of every sequence, by name."""
    found: set[int] = set()
    for _, group in groupby(
        sorted(range(len(names)), key=names.__getitem__),
        key=lambda index: names[index].split("_")[0],
    ):
        members = list(group)
        found |= set(members[len(members) - len(members) // 4 :])
    return found


def centre_crop(
    image: Image, labels: NDArray[np.int64], side: int
) -> tuple[Image, NDArray[np.int64]]:
    """Resize the short side to ``side`` (image bilinear and antialiased, labels nearest) and crop
    the centre square.
    """
    height, width = labels.shape
    short = min(height, width)
    size = (side * width // short, side * height // short)
    left, top = ((length - side) // 2 for length in size)
    box = (left, top, left + side, top + side)
    pixels = PILImage.fromarray(image).resize(size, PILImage.Resampling.BILINEAR).crop(box)
    ids = (
        PILImage.fromarray(labels.astype(np.uint8))
        .resize(size, PILImage.Resampling.NEAREST)
        .crop(box)
    )
    return np.array(pixels), np.array(ids).astype(np.int64)


def crops(part: Part, backbone: FeatureExtractor) -> Iterator[Crop]:
    """Features and labels of the crops, image by image.

    Raises:
        ImageError: If features are not finite in float16.
    """
    side = input_size(SIZE, SIZE, SIZE, backbone.input_multiple)[0]
    for index in part.indices:
        sample = part.dataset[index]
        image, labels = centre_crop(sample.image, sample.labels, side)
        features = backbone.extract(image, side).half().cpu()
        if not bool(torch.isfinite(features).all()):
            raise ImageError(
                f"Expected finite features below 65504, but {sample.name} gives others. Take"
                " another backbone."
            )
        yield features, labels


def tokens_and_labels(part: Part, backbone: FeatureExtractor) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, C) float16 tokens of all crops, and the (N,) uint8 labels at the centres of their cells.

    All tokens if they fit in `TOKEN_BYTES`, else equally many random ones of every image, always
    the same.
    """
    per_image = (
        input_size(SIZE, SIZE, SIZE, backbone.input_multiple)[0] // backbone.patch_size
    ) ** 2
    kept = min(per_image, TOKEN_BYTES // (2 * backbone.dim * len(part.indices)))
    generator = torch.Generator().manual_seed(0)
    tokens = torch.empty(kept * len(part.indices), backbone.dim, dtype=torch.float16)
    labels = torch.empty(len(tokens), dtype=torch.uint8)
    for index, (features, truth) in enumerate(crops(part, backbone)):
        chosen = torch.randperm(per_image, generator=generator)[:kept]
        rows = slice(index * kept, (index + 1) * kept)
        tokens[rows] = features.flatten(1).T[chosen]
        cells: NDArray[Any] = token_labels(truth, (features.shape[1], features.shape[2])).astype(
            np.uint8
        )
        labels[rows] = torch.from_numpy(cells).flatten()[chosen]
    return tokens, labels
