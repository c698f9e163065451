"""Embedded ICC profiles: colours to sRGB, with the relative colorimetric intent.

A profile that changes no colour by more than `_SAME` levels is sRGB under another name, and the
pixels are left as they are.
"""

from __future__ import annotations

import functools
import io
from typing import Final

import numpy as np
import PIL.Image
from PIL import ImageCms

from primaps.types import ReadingNote

_SAME: Final = 2
_SPACES: Final = {"RGB ": "RGB", "CMYK": "CMYK", "GRAY": "L"}
_GRID: Final = (0, 32, 64, 96, 128, 160, 192, 224, 255)


def to_srgb(
    image: PIL.Image.Image, profile: bytes | None
) -> tuple[PIL.Image.Image, ReadingNote | None]:
    """An image without its profile.

    Args:
        image: Of mode L, RGB or CMYK.
        profile: ICC profile in the file; None or empty = there is none.

    Returns:
        (image of mode RGB, what was done; None if nothing). A profile that cannot be used is noted,
        and colours are taken as sRGB.
    """
    if not profile:
        return image.convert("RGB"), None
    try:
        if image.mode == "L" and _space(profile) == "RGB ":
            image = image.convert("RGB")  # grey values that are colours of the profile
        transform, name = _transform(profile, image.mode)
        if transform is None:
            return image.convert("RGB"), None
        converted = transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        text = f"The colour profile cannot be used ({error}), so colours are taken as sRGB."
        return image.convert("RGB"), ReadingNote("profile", text)
    text = f"Converted from the colour profile {name!r} to sRGB."
    return converted, ReadingNote("profile", text)


def _space(profile: bytes) -> str:
    return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space)


@functools.lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> tuple[ImageCms.ImageCmsTransform | None, str]:
    """The conversion of a profile, None if it changes nothing, and what the profile is called.

    Raises:
        ValueError: If the profile is for other images.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = _space(profile)
    if _SPACES.get(space) != mode:
        raise ValueError(f"it is for {space.strip()} images, this one is {mode}")
    transform = ImageCms.buildTransform(
        source, ImageCms.createProfile("sRGB"), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    name = " ".join(ImageCms.getProfileDescription(source).split())
    if mode == "CMYK":
        return transform, name
    levels = np.array(_GRID, dtype=np.uint8)
    grid = (
        np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 27, 3)
        if mode == "RGB"
        else levels[None]
    )
    colours = PIL.Image.fromarray(grid)
    change = np.abs(
        np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours.convert("RGB"))
    )
    return (None if change.max() <= _SAME else transform), name
