"""How does the time of mask proposals grow with the size of the image?

    python benchmarks/image_size.py

One photograph at several sizes, its features at one token per 8 x 8 pixels, one thread, processor
seconds, smallest of the turns. Tokens grow with the square of the side; the CRF of images of more
than a megapixel works at a megapixel.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
import torch
from inputs import photograph
from PIL import Image, ImageOps
from rows import Row, add_rows_option, publish

from primaps.heads.loading import load_backbone
from primaps.proposals.extract import mask_proposals
from primaps.types import FeatureExtractor

SIDES = (320, 640, 1280)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--presets", nargs="+", default=["default", "fast"])
    add_rows_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    publish(measure(options.sides, options.presets, options.turns), options.rows)


def measure(sides: Sequence[int], presets: Sequence[str], turns: int) -> list[Row]:
    """One row per preset and side."""
    backbone = load_backbone("texture", device="cpu")
    path, origin = photograph()
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    found: list[Row] = []
    for preset in presets:
        first: float | None = None
        for side in sides:
            seconds, masks = _seconds(
                np.array(ImageOps.fit(photo, (side, side))), backbone, preset, turns
            )
            first = seconds if first is None else first
            more = (
                f"{seconds / first:.1f} x the time of {sides[0]}, {(side / sides[0]) ** 2:.1f} x"
                " the pixels"
            )
            found.append(
                Row(
                    f"proposals `{preset}`, {side} x {side} ({origin})",
                    f"{seconds * 1000:.0f} ms, {masks} masks, {more}",
                )
            )
    return found


def _seconds(
    image: np.ndarray, backbone: FeatureExtractor, preset: str, turns: int
) -> tuple[float, int]:
    """Processor seconds without the backbone, and the number of masks."""
    features = backbone.extract(image, size=min(image.shape[:2]))
    spent = []
    for _ in range(turns + 1):  # the first one compiles
        started = time.process_time()
        found = mask_proposals(image, features, backbone.threshold, preset=preset)
        spent.append(time.process_time() - started)
    return min(spent[1:]), found.num_masks


if __name__ == "__main__":
    main()
