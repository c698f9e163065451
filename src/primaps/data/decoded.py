"""From an image file to 8-bit pixels as they lie in it, of any format that is read."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from io import BufferedReader
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from primaps.config import InputConfig
from primaps.data import deep_jp2, deep_ppm
from primaps.data.bands import chosen_bands, is_opacity
from primaps.data.decoding import JPEG_MEGAPIXELS, check_bytes, check_pixels, open_header
from primaps.data.deep_png import deep_pixels, is_deep
from primaps.data.heic import is_heic, open_heic
from primaps.data.matlab import is_matlab, read_picture
from primaps.data.no_data import no_data_note, nothing_left, without_data
from primaps.data.orientation import exif_orientation, turned, upright_mask
from primaps.data.tiff import (
    ALPHA,
    NO_ALPHA,
    MissingCodecError,
    TiffFile,
    TiffPicture,
)
from primaps.data.value_ranges import as_text, range_of
from primaps.data.values import Values, divided, eight_bit, opacity
from primaps.errors import ImageError
from primaps.types import ReadingNote

_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_DAMAGED: Final = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError),
    *(OSError, RuntimeError, struct.error),
)
"""What a damaged directory leads to."""
_DEEP_MODES: Final = ("I", "F")
_OPAQUE: Final = 255
_GAMMA, _SAME_GAMMA = 0.45455, 0.02
"""Of sRGB, as the gAMA chunk of a PNG has it, and by how much others may differ."""
_PROGRESSIVE_MEGAPIXELS: Final = 250
"""Of the largest progressive JPEG: all its coefficients are in memory at once."""


@dataclass(frozen=True)
class Stored:
    """An image as it lies in its file, its deep values still to be made 8-bit ones.

    Attributes:
        content: Of a mode of 8 bits, perhaps at a fraction of its size; or deep values.
        size: Its own width and height, not turned.
        box: Part of the decoded image that is the picture, as for `PIL.Image.Image.resize`.
        orientation: 1..8, still to be undone.
        profile: ICC profile.
        ignored: (H, W) bool pixels without data, at its own size; None = none. Those of deep values
            are in there.
        notes: What was done.
    """

    content: PIL.Image.Image | Values
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int = 1
    profile: bytes | None = None
    ignored: NDArray[np.bool_] | None = None
    notes: tuple[ReadingNote, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """An image as it lies in its file, in a mode of 8 bits.

    Attributes:
        image: Decoded, perhaps at a fraction of its size.
        size: Its own width and height, not turned.
        box: Part of the decoded image that is the picture, as for `PIL.Image.Image.resize`.
        orientation: 1..8, still to be undone.
        profile: ICC profile.
        ignored: (H, W) bool pixels without data, at its own size; None = none.
        values: Kind, low and high of the range of deep values that it depends on, its own or the
            folder's; None = they were 8-bit ones.
        notes: What was done.
    """

    image: PIL.Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int = 1
    profile: bytes | None = None
    ignored: NDArray[np.bool_] | None = None
    values: tuple[str, float, float] | None = None
    notes: tuple[ReadingNote, ...] = ()


def decode(
    stream: BufferedReader, name: str, max_pixels: int | None, inputs: InputConfig, page: int | None
) -> Decoded:
    """Decode one image of a file.

    Args:
        stream: As `primaps.data.decoding.decoding` yields it.
        name: Of the file, for messages.
        max_pixels: What is wanted, so that a JPEG may be decoded at a fraction of its size.
        inputs: How files become photographs.
        page: From 1 on; None = the first, noted if there are more.

    Raises:
        ImageError: If it cannot be used.
    """
    found = stored(stream, name, max_pixels, inputs, page)
    if isinstance(found.content, Values):
        return _shown(found, found.content, inputs)
    return Decoded(
        found.content,
        found.size,
        found.box,
        found.orientation,
        found.profile,
        found.ignored,
        notes=found.notes,
    )


def stored(
    stream: BufferedReader, name: str, max_pixels: int | None, inputs: InputConfig, page: int | None
) -> Stored:
    """What a file holds of one image; arguments and errors as for `decode`."""
    start = stream.read(16)
    stream.seek(0)
    if is_matlab(stream):
        return _plain(read_picture(stream, name), name, None, inputs)
    if is_tiff(start):
        return _tiff(stream, name, inputs, page)
    heic = is_heic(start)
    image = open_heic(stream, name) if heic else open_header(stream, inputs.megapixels)
    if heic:
        check_pixels(image.size, inputs.megapixels, name)
    notes = _to_page(image, page) + _turned_note(image.info.get("original_orientation") or 1)
    notes += _gamma_note(image)
    deep = _deep_values(image, stream, name, inputs)
    if deep is not None:
        return _with_notes(_coloured(*deep, image, name, inputs), notes)
    bits = deep_jp2.deep_bits(image, stream)
    if bits:
        notes += (_upper_bits(bits),)
    return _with_notes(_plain(image, name, max_pixels, inputs), notes)


def _deep_values(
    image: PIL.Image.Image, stream: BufferedReader, name: str, inputs: InputConfig
) -> tuple[NDArray[Any], int] | None:
    """(H, W, C) values of which Pillow would lose or change bits, and how many bits count; None =
    there is nothing to lose.
    """
    pixels = image.width * image.height
    if is_deep(image):
        check_bytes(2 * len(image.getbands()) * pixels, inputs.megapixels, name)
        return deep_pixels(image, open_header(stream, inputs.megapixels)), 16
    header = deep_ppm.deep_header(stream) if image.format == "PPM" else None
    if header is not None:
        value_bytes = 8 if header.plain else 2
        check_bytes(value_bytes * header.bands * pixels, inputs.megapixels, name)
        return deep_ppm.ppm_pixels(header, stream), header.bits
    bits = deep_jp2.deep_bits(image, stream)
    if bits and image.mode not in deep_jp2.COLOURS:
        return deep_jp2.grey_pixels(image, bits), bits
    if bits and deep_jp2.can_decode():
        check_bytes(8 * pixels, inputs.megapixels, name)  # decoded by way of 32 bits
        return deep_jp2.jp2_pixels(stream), bits
    return None


def value_kind(stream: BufferedReader, name: str) -> str | None:
    """Kind of the values of a file by its header (`primaps.data.values.Values.kind`), of its first
    picture; None where they are 8-bit ones.

    Args:
        stream: As `primaps.data.decoding.decoding` yields it.
        name: Of the file, for messages.
    """
    start = stream.read(26)
    stream.seek(0)
    if is_tiff(start):
        return TiffFile(stream, name).kind(0)
    if start.startswith(b"\x89PNG"):
        return "uint16" if start[24:25] == b"\x10" else None
    if is_heic(start) or is_matlab(stream):
        return None
    with open_header(stream) as image:
        if image.mode == "F":
            return "float"
        if image.mode == "I" or image.mode.startswith("I;16"):
            return "uint16"
        deep = deep_jp2.deep_bits(image, stream) and deep_jp2.can_decode()
        return "uint16" if deep or _is_deep_ppm(image, stream) else None


def _is_deep_ppm(image: PIL.Image.Image, stream: BufferedReader) -> bool:
    return image.format == "PPM" and deep_ppm.deep_header(stream) is not None


def frames(stream: BufferedReader, name: str) -> int:
    """Number of pages or frames of a file; 1 for a JPEG with further pictures behind it.

    Args:
        stream: As `primaps.data.decoding.decoding` yields it.
        name: Of the file, for messages.
    """
    start = stream.read(16)
    stream.seek(0)
    if is_matlab(stream):
        return 1
    if is_tiff(start):
        return len(TiffFile(stream, name).pictures)
    image = open_heic(stream, name) if is_heic(start) else open_header(stream)
    return _frames(image)


def is_tiff(start: bytes) -> bool:
    """Whether a file that starts like this is a TIFF file."""
    return start.startswith(_TIFF)


def reduced_size(size: tuple[int, int], max_pixels: int | None) -> tuple[int, int]:
    """Largest (width, height) of the same aspect with at most ``max_pixels`` pixels, each side at
    least 1.
    """
    width, height = size
    if max_pixels is None or width * height <= max_pixels:
        return size
    scale = math.sqrt(max_pixels / (width * height))
    reduced_width = min(max(1, int(width * scale)), max_pixels)
    reduced_height = min(max(1, int(height * scale)), max_pixels // reduced_width)
    return min(reduced_width, max_pixels // reduced_height), reduced_height


def _frames(image: PIL.Image.Image) -> int:
    return 1 if image.format in {"JPEG", "MPO"} else int(getattr(image, "n_frames", 1))


def _to_page(image: PIL.Image.Image, page: int | None) -> tuple[ReadingNote, ...]:
    """Go to a page, and say which one it is if there are several."""
    number = _frames(image)
    if page is not None and page > 1:
        image.seek(page - 1)
    return page_note(number, page)


def page_note(number: int, page: int | None) -> tuple[ReadingNote, ...]:
    """What there is to say of a page.

    Args:
        number: Of all pages of the file.
        page: The one that is used, from 1 on; None = the first, because no other is wanted.
    """
    if number == 1:
        return ()
    text = (
        f"1 of {number} pages is used; --pages all uses every one."
        if page is None
        else f"Page {page} of {number}."
    )
    return (ReadingNote("page", text),)


def _gamma_note(image: PIL.Image.Image) -> tuple[ReadingNote, ...]:
    """What there is to say of a PNG whose values have another gamma than those of sRGB."""
    gamma = float(image.info.get("gamma", _GAMMA))
    told_otherwise = "srgb" in image.info or image.info.get("icc_profile")
    if told_otherwise or abs(gamma - _GAMMA) <= _SAME_GAMMA:
        return ()
    text = f"Its gamma of {gamma:g} is not undone: values are taken as sRGB ({_GAMMA})."
    return (ReadingNote("profile", text),)


def _with_notes(found: Stored, notes: tuple[ReadingNote, ...]) -> Stored:
    return replace(found, notes=(*notes, *found.notes))


def _plain(
    image: PIL.Image.Image, name: str, max_pixels: int | None, inputs: InputConfig
) -> Stored:
    """What Pillow decodes as it is meant."""
    size, notes = image.size, list[ReadingNote]()
    drafted = image.draft(None, reduced_size(size, max_pixels))  # only JPEG does anything here
    if drafted is not None:
        notes += _check_jpeg(image, size, name, inputs)
    image.load()
    orientation = exif_orientation(image, name)
    if image.mode.startswith("I;16") or image.mode in _DEEP_MODES:
        array = np.asarray(image)[..., None]
        deep = image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I")
        values = _whole_numbers(array) if deep else _finite(array, name)
        return _of_values(values, orientation, image.info.get("icc_profile"))
    if inputs.bands is not None and image.mode not in {"1", "L", "LA"}:
        image, note = _rearranged(image, inputs.bands, name)
        notes.append(note)
    elif image.has_transparency_data:
        image = image if image.mode in {"LA", "RGBA"} else image.convert("RGBA")
        opaque = image.getchannel("A").getextrema()[0] == _OPAQUE
        notes += [] if opaque else [ALPHA]
    box = drafted[1] if drafted is not None else (0, 0, *image.size)
    size = size if drafted is not None else image.size
    profile = image.info.get("icc_profile")
    return Stored(image, size, box, orientation, profile, notes=tuple(notes))


def _check_jpeg(
    image: PIL.Image.Image, size: tuple[int, int], name: str, inputs: InputConfig
) -> list[ReadingNote]:
    """Refuse a JPEG that is too large as it will be decoded; otherwise what to say of a large
    one.
    """
    check_pixels(image.size, inputs.megapixels, name)
    width, height = size
    if width * height <= inputs.megapixels * 1_000_000:
        return []
    if image.info.get("progressive"):
        check_pixels(size, min(_PROGRESSIVE_MEGAPIXELS, JPEG_MEGAPIXELS), name)
    text = (
        f"Read at 1/{round(width / image.width)} of its size, because it has"
        f" {width * height / 1e6:.0f} megapixels; its label map has its own size."
    )
    return [ReadingNote("reduced", text)]


def _rearranged(
    image: PIL.Image.Image, bands: tuple[int, ...], name: str
) -> tuple[PIL.Image.Image, ReadingNote]:
    """The chosen bands of a colour image; its opacity counts as the fourth."""
    if image.mode not in {"RGB", "RGBA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    planes, profile = image.split(), image.info.get("icc_profile")
    used, note = chosen_bands(len(planes), bands, name)
    assert note is not None  # bands were given
    chosen = [planes[index] for index in used]
    result = chosen[0] if len(chosen) == 1 else PIL.Image.merge("RGB", chosen)
    if used == [0, 1, 2] and profile:
        result.info["icc_profile"] = profile
    return result, note


def _whole_numbers(array: NDArray[Any]) -> Values:
    return Values(array.astype(np.uint16), 16)


def _finite(array: NDArray[Any], name: str) -> Values:
    """Numbers of 32 bits that Pillow decoded; what is not finite holds no data."""
    ignored = without_data(array, None, None)
    if ignored is not None and ignored.all():
        raise ImageError(nothing_left(name))
    return Values(array, 32, ignored=ignored)


def _coloured(
    pixels: NDArray[Any], bits: int, image: PIL.Image.Image, name: str, inputs: InputConfig
) -> Stored:
    """(H, W, C) deep values of a format whose second or fourth band is opacity."""
    notes, alpha = list[ReadingNote](), None
    if pixels.shape[2] in {2, 4} and inputs.bands is None:
        alpha, pixels = pixels[..., -1], pixels[..., :-1]
        notes += [] if int(alpha.min()) == (1 << bits) - 1 else [ALPHA]
    used, note = chosen_bands(pixels.shape[2], inputs.bands, name)
    notes += [] if note is None else [note]
    if used != list(range(pixels.shape[2])):
        pixels = pixels[..., used]
    values = Values(pixels, bits, alpha=alpha)
    orientation, profile = exif_orientation(image, name), image.info.get("icc_profile")
    return _of_values(values, orientation, profile, tuple(notes))


def _of_values(
    values: Values,
    orientation: int,
    profile: bytes | None,
    notes: tuple[ReadingNote, ...] = (),
) -> Stored:
    height, width = values.array.shape[:2]
    return Stored(values, (width, height), (0, 0, width, height), orientation, profile, None, notes)


def _shown(found: Stored, values: Values, inputs: InputConfig) -> Decoded:
    """Deep values as an 8-bit image."""
    found_range = range_of(values, inputs)
    low, high, origin = found_range.low, found_range.high, found_range.origin
    notes = list(found.notes)
    if origin:
        ends = f"{as_text(low)} to {as_text(high)}"
        text = f"Values from {ends} ({values.kind}) become 0 to 255, {origin}."
        notes.append(ReadingNote("range", text))
    if values.ignored is not None:
        notes.append(no_data_note(values.ignored))
    return Decoded(
        _picture(values, low, high),
        found.size,
        found.box,
        found.orientation,
        found.profile,
        values.ignored,
        (values.kind, *found_range.basis) if origin else None,
        tuple(notes),
    )


def _picture(values: Values, low: float, high: float) -> PIL.Image.Image:
    """Of mode L, LA, RGB or RGBA."""
    pixels = eight_bit(values, low, high)
    alpha = None if values.alpha is None else opacity(values)
    if alpha is not None and values.premultiplied:
        pixels = divided(pixels, alpha)
    planes = [
        PIL.Image.fromarray(np.ascontiguousarray(pixels[..., band]))
        for band in range(pixels.shape[2])
    ]
    mode = "L" if len(planes) == 1 else "RGB"
    if alpha is not None:
        planes.append(PIL.Image.fromarray(alpha))
        mode += "A"
    return planes[0] if len(planes) == 1 else PIL.Image.merge(mode, planes)


def _upper_bits(bits: int) -> ReadingNote:
    text = f"The upper 8 of {bits} bits are used; with pip install 'primaps[formats]' all are."
    return ReadingNote("range", text)


# ---- TIFF ----------------------------------------------------------------------------------------


def _tiff(stream: BufferedReader, name: str, inputs: InputConfig, page: int | None) -> Stored:
    try:
        file = TiffFile(stream, name)
    except _DAMAGED:  # Pillow says why, or reads it in spite of that
        return _plain(open_header(stream, inputs.megapixels), name, None, inputs)
    number = 0 if page is None else page - 1
    notes = page_note(len(file.pictures), page)
    check_pixels(file.size(number), inputs.megapixels, name)
    try:
        picture = file.read(number, inputs)
    except MissingCodecError:
        return _with_notes(_without_codec(stream, file, number, name, inputs), notes)
    notes += _turned_note(picture.orientation)
    if picture.values is not None:
        notes += picture.notes
        return _of_values(picture.values, picture.orientation, picture.profile, notes)
    return _with_notes(_usual_tiff(stream, picture, name, inputs), notes)


def _turned_note(orientation: int) -> tuple[ReadingNote, ...]:
    return () if orientation == 1 else (turned(orientation),)


def _usual_tiff(
    stream: BufferedReader, picture: TiffPicture, name: str, inputs: InputConfig
) -> Stored:
    """A TIFF that Pillow reads as it is meant, but for opacity and pixels without data."""
    image = _sought(stream, picture.index, inputs)
    found = replace(_plain(image, name, None, inputs), orientation=1)  # turned by Pillow
    if isinstance(found.content, Values):
        return found
    notes, content = found.notes, found.content
    if image.mode == "RGBA" and inputs.bands is None:
        alpha = np.asarray(image.getchannel("A"))
        if not is_opacity(alpha, 255.0):
            content = PIL.Image.merge("RGB", image.split()[:3])
            notes = (*(note for note in notes if note != ALPHA), NO_ALPHA)
    found = replace(found, content=content, notes=notes)
    mask = upright_mask(picture.ignored, picture.orientation)
    if mask is None and picture.nodata is None:
        return found
    return _without_data(found, content, picture.nodata, mask, name)


def _without_data(
    found: Stored,
    content: PIL.Image.Image,
    nodata: float | None,
    mask: NDArray[np.bool_] | None,
    name: str,
) -> Stored:
    """An 8-bit image of which pixels hold no data; these are filled in grey and RGB ones."""
    array = np.asarray(content)
    colours = array[..., None] if array.ndim == 2 else array[..., :3]
    ignored = without_data(colours, nodata, mask)
    if ignored is None:
        return found
    if ignored.all():
        raise ImageError(nothing_left(name))
    if content.mode in {"L", "RGB"}:
        profile = content.info.get("icc_profile")
        content = _picture(Values(colours, 8, ignored=ignored), 0.0, 255.0)
        content.info |= {"icc_profile": profile} if profile else {}
    notes = (*found.notes, no_data_note(ignored))
    return replace(found, content=content, ignored=ignored, notes=notes)


def _sought(stream: BufferedReader, index: int | None, inputs: InputConfig) -> PIL.Image.Image:
    image = open_header(stream, inputs.megapixels)
    if index:
        image.seek(index)
    return image


def _without_codec(
    stream: BufferedReader, file: TiffFile, number: int, name: str, inputs: InputConfig
) -> Stored:
    """A compressed TIFF that only Pillow can decode: the upper eight bits of deep colours.

    Raises:
        MissingCodecError: If it cannot either.
    """
    index = file.pictures[number][0]
    if index is None:
        raise MissingCodecError(file.missing_codec(number))
    try:
        found = _plain(_sought(stream, index, inputs), name, None, inputs)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise MissingCodecError(file.missing_codec(number)) from error
    if not isinstance(found.content, Values):
        return _with_notes(found, (_upper_bits(16),))
    return found
