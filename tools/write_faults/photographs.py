"""Small photographs that are drawn: a few soft blocks of colour and noise each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw_photograph(number: int, width: int, height: int) -> Image.Image:
    """The photograph of a number."""
    generator = np.random.default_rng(number)
    blocks = generator.integers(0, 256, (3, 4, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))
    noise = generator.integers(-12, 13, soft.shape)
    return Image.fromarray((soft + noise).clip(0, 255).astype(np.uint8))


def draw_photographs(folder: Path, number: int, width: int = 64, height: int = 48) -> Path:
    """Write so many photographs, a thousand to a folder; returns ``folder``."""
    for each in range(number):
        path = folder / f"{each // 1000:03}" / f"{each:06}.{'jpg' if each % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photograph(each, width, height).save(path)
    return folder
