"""Which part of a data set an image belongs to."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import Final

from primaps.errors import ConfigError

SPLIT_NAMES: Final = ("train", "val", "test")
WHOLE: Final = "train"
"""Where all images go in formats that cannot do without parts."""


def parse_split(text: str) -> tuple[float, ...]:
    """Shares of train, val and test as a person writes them: ``.8,.1,.1`` or ``.9,.1``.

    Raises:
        ConfigError: If these are not one to three shares that add up to 1.
    """
    try:
        shares = tuple(float(part) for part in text.split(","))
    except ValueError:
        shares = ()
    fits = 1 <= len(shares) <= len(SPLIT_NAMES) and all(0 <= share <= 1 for share in shares)
    if not fits or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(
            "Expected --split to be shares of train, val and test that add up to 1, such as"
            f" .8,.1,.1, but got {text!r}."
        )
    return shares


def split_of(name: str, shares: Sequence[float], seed: int) -> str:
    """The part that an image belongs to. It follows from the image's name alone, so that images
    which come later move no other one.

    Args:
        name: Name of the image.
        shares: Of train, val and test.
        seed: Another one gives another split.
    """
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for part, bound in zip(SPLIT_NAMES, itertools.accumulate(shares), strict=False):
        if place < bound:
            return part
    return SPLIT_NAMES[max(index for index, share in enumerate(shares) if share > 0)]
