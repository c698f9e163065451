"""Whatever a caller has as an image becomes (H, W, 3) uint8 RGB, or is refused with a reason.

- Paths: the photograph, as `primaps.read_image` reads it.
- PIL images: as `primaps.read_image` would give them: upright as their EXIF says, transparency over
  white, in sRGB if they carry a colour profile. High bit depths (modes I and F) need the file,
  where a rule for their range is stated.
- NumPy arrays: channels last, (H, W, 3) or (H, W, 1), or (H, W) for grey.
- Torch tensors: channels first, (3, H, W) or (1, H, W), or (H, W) for grey; (H, W, 3) is taken too,
  where the first axis is not of length 3.
- Values: uint8, 0..255; or floating point in [0, 1], times 255 and rounded to the nearest.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ImageError
from primaps.types import Image, ImageLike

if TYPE_CHECKING:
    import PIL.Image
    import torch

_SLACK: Final = 1e-3
"""By so much a float may lie outside [0, 1]: resizing and half precision overshoot."""

_DEEP: Final = ("I", "F")


def as_image(value: ImageLike) -> Image:
    """An image in the form that everything here works with; see the module's text for the rules.

    Args:
        value: Path, PIL image, NumPy array or torch tensor on any device.

    Returns:
        (H, W, 3) uint8 RGB, contiguous; a NumPy array of this kind is given back, not copied.

    Raises:
        ImageError: If it is none of these, or its shape, dtype or values have no plain meaning.

    Examples:
        >>> as_image(np.full((2, 4), 0.5)).shape
        (2, 4, 3)
    """
    if isinstance(value, str | os.PathLike):
        import primaps  # photographs are read in a room above this one

        return primaps.read_image(value)
    if _is_tensor(value):
        return _rgb(_channels_last(value))
    if _is_pillow(value):
        return _from_pillow(value)
    if not isinstance(value, np.ndarray):
        raise ImageError(
            "Expected an image: a path, a PIL image, a NumPy array (H, W, 3) or (H, W), or a torch"
            f" tensor (3, H, W), but got {_kind(value)}.{_instead(value)}"
        )
    if isinstance(value, np.ma.MaskedArray) and value.mask.any():
        raise ImageError(
            "Expected an image without masked pixels, but"
            f" {np.count_nonzero(value.mask)} values are masked. Fill them: image.filled(0)."
        )
    return _rgb(np.asarray(value))


def _is_tensor(value: object) -> TypeGuard[torch.Tensor]:
    """What is a tensor, torch is loaded for already."""
    loaded = sys.modules.get("torch")
    return loaded is not None and isinstance(value, loaded.Tensor)


def _is_pillow(value: object) -> TypeGuard[PIL.Image.Image]:
    loaded = sys.modules.get("PIL.Image")
    return loaded is not None and isinstance(value, loaded.Image)


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _instead(value: object) -> str:
    """What to do with other things that may hold an image."""
    if isinstance(value, bytes | bytearray | memoryview):
        return " Of the bytes of a file make an image: PIL.Image.open(io.BytesIO(data))."
    if callable(getattr(value, "read", None)):
        return " Of an open file make an image: PIL.Image.open(file)."
    if hasattr(value, "__array__"):
        return " Make an array of it: numpy.asarray(image)."
    if isinstance(value, Iterable):
        return " Give images one by one; make nested lists of numbers a numpy.array."
    return ""


def _channels_last(value: torch.Tensor) -> NDArray[Any]:
    """A tensor with its channels at the end."""
    tensor = value.detach()
    if tensor.is_nested or tensor.is_meta:
        raise ImageError(
            "Expected an image tensor with values and one shape, but got one on the device meta or"
            " a nested one."
        )
    if tensor.is_floating_point():  # NumPy has no bfloat16
        tensor = tensor.float()
    elif str(tensor.dtype) != "torch.uint8":
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise ImageError(_wrong_dtype(dtype, "image.to(torch.uint8)"))
    shape = tuple(tensor.shape)
    if len(shape) == 3 and (shape[0] == 3 or (shape[0] == 1 and shape[2] != 3)):
        tensor = tensor.permute(1, 2, 0)
    elif len(shape) not in {2, 3} or (len(shape) == 3 and shape[2] != 3):
        raise ImageError(
            "Expected an image tensor of shape (3, H, W), channels first, or (H, W), but got"
            f" {shape}.{_tensor_advice(shape)}"
        )
    array: NDArray[Any] = tensor.to_dense().cpu().numpy()
    return array


def _from_pillow(image: PIL.Image.Image) -> Image:
    """Upright and over white, from a copy: the caller's image stays as it is."""
    import PIL.Image
    import PIL.ImageOps

    from primaps.colour_profiles import to_srgb

    if image.mode in _DEEP or image.mode.startswith("I;"):
        raise ImageError(
            f"Expected a PIL image of 8 bits per channel, but got mode {image.mode}, of which the"
            " range of values is not known. Give the path of its file, or an array that you have"
            " scaled to [0, 1]."
        )
    if 0 in image.size:
        raise ImageError(f"Expected an image with pixels, but got one of size {image.size}.")
    try:
        picture = PIL.ImageOps.exif_transpose(image)
        grey = picture.mode in {"1", "L", "LA"}
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = PIL.Image.new("RGBA", picture.size, "white")
            picture = PIL.Image.alpha_composite(white, picture)
        if picture.mode != "CMYK":
            picture = picture.convert("L" if grey else "RGB")
        return np.array(to_srgb(picture, image.info.get("icc_profile"))[0])
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"Expected a PIL image that can be read, but got: {error}.") from error


def _rgb(array: NDArray[Any]) -> Image:
    """(H, W, 3) uint8 of an array with its channels at the end, or without channels."""
    shape = array.shape
    if array.ndim not in {2, 3} or (array.ndim == 3 and shape[2] not in {1, 3}) or 0 in shape:
        raise ImageError(
            "Expected an image of shape (H, W, 3), RGB, or (H, W), grey, but got"
            f" {shape}.{_advice(shape)}"
        )
    levels = _levels(array)
    if array.ndim == 3 and shape[2] == 3:
        return levels
    grey = levels if array.ndim == 2 else levels[..., 0]
    return np.repeat(grey[..., None], 3, axis=2)


def _levels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as 0..255."""
    if array.dtype == np.uint8:
        # of an axis of length 1 the stride may be negative all the same, which torch refuses
        return array if array.flags.c_contiguous and min(array.strides) > 0 else array.copy()
    if array.dtype.kind != "f":
        raise ImageError(_wrong_dtype(str(array.dtype)))
    low, high = float(array.min()), float(array.max())
    if not math.isfinite(low) or not math.isfinite(high):
        raise ImageError(
            "Expected a floating-point image with values in [0, 1], but some are NaN or infinite."
            " Fill them first: numpy.nan_to_num(image)."
        )
    if not -_SLACK <= low <= high <= 1 + _SLACK:
        raise ImageError(
            f"Expected a floating-point image with values in [0, 1], but got {low:g}..{high:g}."
            " Divide values of 0..255 by 255; undo a normalisation by mean and deviation."
        )
    levels: NDArray[np.uint8] = np.rint(array.clip(0, 1) * 255.0).astype(np.uint8)
    return levels


def _wrong_dtype(dtype: str, conversion: str = "image.astype(numpy.uint8)") -> str:
    expected = (
        "Expected an image of uint8 values, 0..255, or of floating point in [0, 1], but got"
        f" {dtype}."
    )
    if dtype == "bool":
        return f"{expected} Give it as black and white: {conversion} * 255."
    return (
        f"{expected} Where the values are 0..255, {conversion} says so; otherwise divide by the"
        " largest value that there can be."
    )


def _tensor_advice(shape: tuple[int, ...]) -> str:
    """What to do with a tensor of another layout."""
    if len(shape) == 3 and 0 not in shape and 4 in {shape[0], shape[2]}:
        kept = "image[:3]" if shape[0] == 4 else "image[..., :3]"
        return f" Leave out transparency: {kept}."
    if len(shape) == 3 and 0 not in shape:
        return " Choose three of its channels: image[[0, 1, 2]]."
    return _advice(shape)


def _advice(shape: tuple[int, ...]) -> str:
    """What to do with an array of another layout."""
    if 0 in shape:
        return " There is no pixel in it."
    if len(shape) == 4:
        return " Give the images one by one, image[0], image[1], ..."
    if len(shape) != 3:
        return ""
    by_channels = {
        (True, 1): " Move the channels to the end: image.transpose(1, 2, 0).",
        (True, 3): " Move the channels to the end: image.transpose(1, 2, 0).",
        (True, 4): " Leave out transparency and move the channels to the end.",
        (False, 4): " Leave out transparency, image[..., :3], or give PIL.Image.fromarray(image).",
    }
    first, last = by_channels.get((True, shape[0])), by_channels.get((False, shape[2]))
    return last or first or " Choose three of its channels, image[..., [0, 1, 2]]."
