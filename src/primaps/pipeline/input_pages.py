"""Files of several pages or frames as several images: ``x.tif.p0001``, ``x.tif.p0002``, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from primaps.data.looking import HERE, Look
from primaps.errors import ImageError
from primaps.types import ImageFile

_ONE_PAGE: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".jp2", ".j2k", ".jpf", ".jpx"),
)
"""Not opened to see how many pages they have."""


def all_pages(images: Sequence[ImageFile], look: Look = HERE) -> tuple[ImageFile, ...]:
    """Every page of every file, files of one page as they are; in the order of their names.

    Args:
        images: Files. Those that cannot be read stay as they are: reading them will say why.
        look: Who looks into them.
    """
    found: list[ImageFile] = []
    for image in images:
        number = _pages(image, look)
        if number == 1:
            found.append(image)
        else:
            found += [
                ImageFile(image.path, f"{image.name}.p{page:04d}", page)
                for page in range(1, number + 1)
            ]
    return tuple(sorted(found, key=lambda image: image.name))


def _pages(image: ImageFile, look: Look) -> int:
    if image.path.suffix.lower() in _ONE_PAGE:
        return 1
    try:
        return look.pages(image)
    except ImageError:
        return 1
