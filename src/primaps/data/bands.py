"""Which bands of an image are red, green and blue, and whether a band is opacity.

By default one band is grey, two are grey and opacity if they are tagged so, three are red, green
and blue, and of more the first three are. A TIFF's opacity is believed only where it looks like
that (`is_opacity`): programs tag a near-infrared band in the same way.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ImageError
from primaps.types import ReadingNote

_FLAT: Final = 0.75
"""Fraction of neighbouring pixels of an opacity that hardly differ."""
_EXTREME: Final = 0.5
"""Fraction of pixels that are opaque or transparent where an opacity need not be flat."""


def is_opacity(alpha: NDArray[Any], top: float) -> bool:
    """Whether a band that is tagged as opacity is one.

    Most pixels are opaque or transparent; or some are, and neighbours are hardly different.

    Args:
        alpha: (H, W) values.
        top: The value of what is opaque.
    """
    extreme = float(np.mean((alpha <= 0) | (alpha >= top)))
    if extreme >= _EXTREME:
        return True
    if not (alpha >= top).any():
        return False
    level = top / 100
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged files
        real = alpha.astype(np.float32)
    flat = [
        float(np.mean(np.abs(np.diff(real, axis=axis)) <= level))
        for axis in (0, 1)
        if alpha.shape[axis] > 1
    ]
    return max(flat, default=1.0) >= _FLAT


def chosen_bands(
    count: int, bands: tuple[int, ...] | None, name: str
) -> tuple[list[int], ReadingNote | None]:
    """Which bands are used.

    Args:
        count: Bands of the image, opacity left out.
        bands: As `primaps.config.InputConfig.bands`.
        name: Of the file, for the message.

    Returns:
        (indices from 0 on, one or three; what there is to say).

    Raises:
        ImageError: If the image has fewer bands.
    """
    if bands is not None and count > 1:
        if max(bands) > count:
            raise ImageError(
                f"Expected an image with bands {', '.join(map(str, bands))}, but {name} has"
                f" {count}. Choose others with --bands, or leave it out."
            )
        listed = ", ".join(map(str, bands))
        return [band - 1 for band in bands], ReadingNote("bands", f"Bands {listed} of {count}.")
    if count in {1, 3}:
        return list(range(count)), None
    used = [0] if count == 2 else [0, 1, 2]
    text = (
        f"Band 1 of {count} is used as grey"
        if count == 2
        else f"Bands 1, 2 and 3 of {count} are used as red, green and blue"
    )
    return used, ReadingNote("bands", f"{text}; --bands chooses others.")
