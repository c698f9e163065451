"""Pictures of label images: stable colours, regions that are seen on any photograph, thumbnails."""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from primaps.errors import OutputError
from primaps.given import real_number
from primaps.types import IGNORE_INDEX, Image

MAX_COLOURS: Final = 255
GREY: Final = (128, 128, 128)
"""Kept free of classes, like black and white: they would be taken for unlabelled pixels."""

OPACITY: Final = 0.65
"""Of colours over the grey photograph. Colours, tones and lines look as in the viewer
(`viewer/web/colour.js`).
"""

_SPREAD: Final = 4  # how many times its even share of the grey tones a brightness may take
_SIDE_PER_LINE: Final = 600  # pixels of the longest side for each pixel of a line's width

_FIRST_COLOURS: Final = bytes.fromhex(
    "e6194b 3c8cff ffd21f 2eb872 a04ae0 ff8a1f 19d3d8 f45ec8 a5e22e 8a5a2b 1f4fd1 ffb3a7"
)


def palette(num: int) -> NDArray[np.uint8]:
    """Distinct colours for ids 0..num-1.

    The colour of an id never depends on ``num``: the first twelve are chosen by hand, each further
    one is the candidate farthest from all earlier ones (and from black, white and grey) in the
    perceptual space OKLab (Ottosson 2020).

    Args:
        num: How many colours, 0..255.

    Returns:
        (num, 3) uint8 RGB.

    Raises:
        OutputError: If ``num`` is out of range.

    Examples:
        >>> palette(2).tolist()
        [[230, 25, 75], [60, 140, 255]]
    """
    if not 0 <= num <= MAX_COLOURS:
        raise OutputError(
            f"Expected the number of colours to be between 0 and {MAX_COLOURS}, but got {num}."
        )
    return _colour_table()[:num].copy()


@functools.cache
def _colour_table() -> NDArray[np.uint8]:
    """(255, 3) uint8, farthest-point order; distances in whole numbers so that every machine finds
    the same table.
    """
    levels = np.arange(0, 256, 15)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _oklab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    # neither near-black, near-white nor grey
    usable = (lab[:, 0] > 400) & (lab[:, 0] < 900) & (chroma > 70)
    grid, lab = grid[usable], lab[usable]

    chosen = list(np.frombuffer(_FIRST_COLOURS, dtype=np.uint8).reshape(-1, 3))
    taken = np.array([*chosen, (0, 0, 0), GREY, (255, 255, 255)])
    distance = ((lab[:, None] - _oklab(taken)[None]) ** 2).sum(axis=-1).min(axis=1)
    while len(chosen) < MAX_COLOURS:
        farthest = int(distance.argmax())
        chosen.append(grid[farthest])
        distance = np.minimum(distance, ((lab - lab[farthest]) ** 2).sum(axis=-1))
    return np.array(chosen, dtype=np.uint8)


def _oklab(rgb: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """(n, 3) sRGB values 0..255 to OKLab in thousandths (B. Ottosson, "A perceptual color space for
    image processing").
    """
    value = rgb / 255.0
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    lab: NDArray[np.float64] = np.cbrt(linear @ to_lms.T) @ to_lab.T
    return np.rint(1000 * lab).astype(np.int64)


def paint(
    image: Image,
    label_image: NDArray[np.integer[Any]],
    colours: NDArray[np.uint8],
    alpha: float = OPACITY,
    ignore: int = IGNORE_INDEX,
    *,
    contours: bool = True,
) -> Image:
    """Regions in their colours over the grey photograph, with double lines between them.

    The photograph gives brightness alone, and only middle tones: a colour looks the same on dark
    and on light things, and whatever has no colour is no region.

    Args:
        image: (H, W, 3) uint8 RGB.
        label_image: (H, W) integer ids, 0 or more.
        colours: (n, 3) uint8 RGB; id i is painted in ``colours[i]``, ids from n on reuse the
            colours from the start.
        alpha: Opacity of the colours in [0, 1].
        ignore: Pixels with this id stay grey (255 for label maps, 0 for mask proposals).
        contours: Draw the lines.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        OutputError: If shapes, dtypes or ranges do not fit.
    """
    _check_pair(image, label_image)
    if not 0.0 <= real_number("alpha", alpha) <= 1.0:
        raise OutputError(f"Expected alpha to be an opacity in [0, 1], but got {alpha}.")
    if len(colours) == 0:
        raise OutputError(
            "Expected at least one colour to paint with, but got none. Use palette(255)."
        )
    grey = _ground(image)
    weight = round(alpha * 256)
    blended = colours.take(label_image, axis=0, mode="wrap") * np.uint16(weight)
    blended += grey * np.uint16(256 - weight)  # at most 255 * 256: fits 16 bits
    result = np.where((label_image == ignore)[..., None], grey, (blended >> 8).astype(np.uint8))
    if contours:
        _draw_contours(result, label_image)
    return result


def outline(
    image: Image, label_image: NDArray[np.integer[Any]], ignore: int = 0, *, contours: bool = True
) -> Image:
    """Regions as they were photographed, with double lines around them; grey outside.

    For mask proposals, whose ids mean nothing from one photograph to the next: no colour claims
    that they do.

    Args:
        image: (H, W, 3) uint8 RGB.
        label_image: (H, W) integer ids, 0 or more.
        ignore: Pixels with this id become grey.
        contours: Draw the lines.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        OutputError: If shapes or dtypes do not fit.
    """
    _check_pair(image, label_image)
    result = np.where((label_image == ignore)[..., None], _ground(image), image)
    if contours:
        _draw_contours(result, label_image)
    return result


def _ground(image: Image) -> NDArray[np.uint8]:
    """(H, W, 1) uint8: the photograph in grey, its tones within 74..181.

    Brightnesses that are frequent in it take more room, up to `_SPREAD` times their even share (its
    histogram equalised, with a limit; S. Pizer et al., "Adaptive histogram equalization and its
    variations", 1987): something is seen under the colours of a dark street too.
    """
    red, green, blue = (image[..., index].astype(np.uint32) for index in range(3))
    luma = (54 * red + 183 * green + 19 * blue) >> 8  # Rec. ITU-R BT.709, in 256ths
    counts = np.bincount(luma.ravel(), minlength=256)
    shares = np.minimum(counts, max(1, _SPREAD * luma.size // 256)).astype(np.float64)
    shares += (luma.size - shares.sum()) / 256
    places = (np.cumsum(shares) - shares / 2) / max(1, luma.size)
    tones: NDArray[np.uint8] = np.round(127.5 + 0.42 * (255 * places - 127.5)).astype(np.uint8)
    ground: NDArray[np.uint8] = tones[luma][..., None]
    return ground


def _draw_contours(picture: Image, label_image: NDArray[np.integer[Any]]) -> None:
    """A dark line on one side of each boundary and a light one on the other, in place: one of both
    is seen on any ground.
    """
    width = -(-max(label_image.shape) // _SIDE_PER_LINE)
    dark, light = np.zeros((2, *label_image.shape), dtype=bool)
    for axis in range(2):
        ids, first, second = (np.moveaxis(each, axis, 0) for each in (label_image, dark, light))
        differs = ids[:-width] != ids[width:]
        first[:-width] |= differs
        second[width:] |= differs
    light &= ~dark
    picture[dark] = picture[dark] * np.uint16(38) >> 8  # 0.85 black
    picture[light] = 255 - (255 - picture[light]) // 20  # 0.95 white


def grown(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """A mask and all pixels up to ``width`` above, below and beside it."""
    result = mask.copy()
    for step in range(1, width + 1):
        result[step:] |= mask[:-step]
        result[:-step] |= mask[step:]
    across = result.copy()
    for step in range(1, width + 1):
        result[:, step:] |= across[:, :-step]
        result[:, :-step] |= across[:, step:]
    return result


def thumbnail(image: Image, max_side: int) -> Image:
    """Smaller copy of a photograph, antialiased; never enlarged.

    Args:
        image: (H, W, 3) uint8 RGB.
        max_side: Longest side of the result in pixels.

    Returns:
        (h, w, 3) uint8 RGB with max(h, w) <= max_side and the aspect ratio of the image.

    Raises:
        OutputError: If the image is not (H, W, 3) uint8 or ``max_side`` is not positive.
    """
    _check_image(image)
    if max_side < 1:
        raise OutputError(f"Expected max_side to be 1 pixel or more, but got {max_side}.")
    height, width = image.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1:
        return image.copy()
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = PILImage.fromarray(np.ascontiguousarray(image)).resize(
        size, PILImage.Resampling.LANCZOS, reducing_gap=3.0
    )
    return np.array(small)


def resize_labels(
    label_image: NDArray[np.integer[Any]], size: tuple[int, int]
) -> NDArray[np.integer[Any]]:
    """Nearest-neighbour copy of a label image at another size.

    Args:
        label_image: (H, W) integer ids.
        size: (h, w) of the result in pixels.

    Returns:
        (h, w) array of the same dtype; holds only ids of the input.
    """
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * (old / new), old - 1).astype(np.intp)
        for new, old in zip(size, label_image.shape, strict=True)
    )
    resized: NDArray[np.integer[Any]] = label_image[rows[:, None], columns]
    return resized


def _check_pair(image: Image, label_image: NDArray[np.integer[Any]]) -> None:
    _check_image(image)
    _check_labels(label_image)
    if image.shape[:2] != label_image.shape:
        raise OutputError(
            f"Expected the label image to have the size of the image, {image.shape[:2]}, but got"
            f" {label_image.shape}. Resize it first (primaps.outputs.visualize.resize_labels)."
        )


def _check_image(image: Image) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise OutputError(
            f"Expected the image to be (H, W, 3) uint8 RGB, but got shape {image.shape} and dtype"
            f" {image.dtype}. Read photographs with primaps.read_image."
        )


def _check_labels(label_image: NDArray[np.integer[Any]]) -> None:
    if (
        label_image.ndim != 2
        or not np.issubdtype(label_image.dtype, np.integer)
        or label_image.size == 0
    ):
        raise OutputError(
            "Expected the label image to be (H, W) whole numbers, but got shape"
            f" {label_image.shape} and dtype {label_image.dtype}."
        )
    if label_image.min() < 0:
        raise OutputError(
            f"Expected ids of 0 or more, but got {label_image.min()}. Ignored pixels are"
            f" {IGNORE_INDEX}."
        )
