"""TIFF files that Pillow does not read as they are meant: deep, scientific and geographic ones, and
which directory of a file is the picture.
"""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import InputConfig
from primaps.data.bands import chosen_bands, is_opacity
from primaps.data.decoding import check_bytes
from primaps.data.no_data import nothing_left, untagged_note, untagged_value, without_data
from primaps.data.raw_files import is_raw, raw_message
from primaps.data.values import Values
from primaps.errors import ImageError
from primaps.types import ReadingNote

# what it says of damaged files is for logs, not for the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ORIENTATION, _PROFILE, _NODATA, _OLD_SUBFILE = 274, 34675, 42113, 255
_REDUCED, _MASK = 1, 4
_ASSOCIATED, _UNASSOCIATED = 1, 2
_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _CMYK, _YCBCR, _LAB = 0, 1, 2, 3, 5, 6, 8
_CFA, _LINEAR_RAW = 32803, 34892
_SAMPLES: Final = {
    _MINISWHITE: 1,
    _MINISBLACK: 1,
    _RGB: 3,
    _PALETTE: 1,
    _CMYK: 4,
    _YCBCR: 3,
    _LAB: 3,
}
_OLD_JPEG, _JPEG = 6, 7
_BY_PILLOW: Final = (1, 2, 3, 4, 5, _OLD_JPEG, _JPEG, 8, 32773, 32946, 34925, 50000)
"""Compressions that Pillow decodes."""
_LOW_PALETTE: Final = 256
"""A palette without larger numbers has 8 bits, although the format says 16."""
_MOST_PAGES: Final = 65535


@dataclass(frozen=True)
class TiffPicture:
    """A picture in a TIFF file.

    Attributes:
        index: Of its directory in the chain of directories; None = a sub-directory.
        values: Its numbers; None = Pillow reads them as they are meant.
        ignored: (H, W) bool pixels that a mask or NaN leaves out; None = none. With ``values`` they
            are in there.
        nodata: Value of pixels that hold no data; None = there is none. Likewise.
        orientation: 1..8.
        profile: ICC profile.
        notes: What was done.
    """

    index: int | None
    values: Values | None
    ignored: NDArray[np.bool_] | None
    nodata: float | None
    orientation: int
    profile: bytes | None
    notes: tuple[ReadingNote, ...]


class TiffFile:
    """An open TIFF file.

    Args:
        stream: Binary file.
        name: Of it, for messages.

    Attributes:
        pictures: Directories of pictures, those of reduced resolution and masks left out.

    Raises:
        ImageError: If it holds previews or raw data of a camera only.
    """

    def __init__(self, stream: BufferedReader, name: str) -> None:
        from tifffile import TiffFile as Opened

        stream.seek(0)
        if is_raw(stream.read(16)):
            raise ImageError(raw_message(name))
        stream.seek(0)
        self._name = name
        self._opened = Opened(stream)
        self._pages = _chain(self._opened.pages)
        self.pictures = _pictures(self._pages)
        raw = any(_photometric(page) == _CFA for _, page in self.pictures)
        if raw:
            raise ImageError(raw_message(name))
        if not self._pages:
            raise ImageError(
                f"Expected a picture in {name}, but it holds none: it was not written to its end."
                " Copy it again or leave it out."
            )
        if not self.pictures:
            raise ImageError(
                f"Expected a picture in {name}, but it holds previews of reduced resolution only."
                " Convert the original to TIFF or JPEG."
            )

    def size(self, number: int) -> tuple[int, int]:
        """Width and height of a picture as stored."""
        page = self.pictures[number][1]
        return int(page.imagewidth), int(page.imagelength)

    def orientation(self, number: int) -> int:
        """How a picture lies, 1..8."""
        return _orientation(self.pictures[number][1])

    def kind(self, number: int) -> str | None:
        """Kind of the values of a picture (`primaps.data.values.Values.kind`); None where they are
        8-bit ones.
        """
        page = self.pictures[number][1]
        dtype = page.dtype
        if _photometric(page) == _PALETTE and page.colormap is not None:
            return None
        if dtype is None or dtype.kind == "b" or dtype == np.uint8:
            return None
        return "float" if dtype.kind == "f" else str(dtype.name)

    def is_usual(self) -> bool:
        """Whether the first picture is what Pillow finds in the file, and reads as it is meant."""
        index, page = self.pictures[0]
        return index == 0 and _is_usual(page)

    def missing_codec(self, number: int) -> str:
        """The message where a decoder is not installed."""
        return _missing_codec(self.pictures[number][1], self._name)

    def read(self, number: int, inputs: InputConfig) -> TiffPicture:
        """Read one picture.

        Args:
            number: Which, from 0 on.
            inputs: How files become photographs.

        Raises:
            ImageError: If it cannot be used; the message says why.
        """
        index, page = self.pictures[number]
        mask, nodata = self._mask(page, inputs), _nodata(page)
        usual = _is_usual(page) and index is not None
        values, notes = (None, ()) if usual else self._values(page, inputs, mask, nodata)
        return TiffPicture(
            index,
            values,
            mask,
            nodata,
            _orientation(page),
            _bytes(page, _PROFILE),
            notes,
        )

    def _values(
        self,
        page: Any,
        inputs: InputConfig,
        mask: NDArray[np.bool_] | None,
        nodata: float | None,
    ) -> tuple[Values, tuple[ReadingNote, ...]]:
        array = self._array(page, inputs)
        planes = int(getattr(page, "imagedepth", 1))
        notes = [] if planes == 1 else [ReadingNote("page", f"1 of {planes} planes is used.")]
        alpha = None
        bits = int(np.max(page.bitspersample))
        if _has_alpha(page):
            top = 1.0 if array.dtype.kind == "f" else float((1 << bits) - 1)
            if is_opacity(array[..., -1], top):
                alpha, array = array[..., -1], array[..., :-1]
                notes += [ALPHA] if float(alpha.min()) < top else []
            else:
                notes.append(NO_ALPHA)
        multiplied = alpha is not None and int(page.extrasamples[-1]) == _ASSOCIATED
        used, note = chosen_bands(array.shape[2], inputs.bands, self._name)
        notes += [] if note is None else [note]
        if used != list(range(array.shape[2])):
            array = array[..., used]
        if nodata is None:
            nodata = untagged_value(array)
            notes += [] if nodata is None else [untagged_note(nodata)]
        ignored = without_data(array, nodata, mask)
        if ignored is not None and ignored.all():
            raise ImageError(nothing_left(self._name))
        white = _photometric(page) == _MINISWHITE
        return Values(array, bits, white, alpha, multiplied, ignored), tuple(notes)

    def _array(self, page: Any, inputs: InputConfig) -> NDArray[Any]:
        """(H, W, C) numbers.

        Raises:
            ImageError: If they are of a kind that is no picture, too many, or need a decoder that
                is not installed.
        """
        self._check(page, inputs)
        try:
            array = np.asarray(page.asarray(maxworkers=1))
        except (ValueError, RuntimeError, ImportError) as error:
            if "imagecodecs" in str(error) and importlib.util.find_spec("imagecodecs") is None:
                raise MissingCodecError(_missing_codec(page, self._name)) from error
            raise
        array = _as_bands(array, page.axes)
        if _photometric(page) == _PALETTE and page.colormap is not None:
            array = np.moveaxis(_palette(page)[:, array[..., 0]], 0, -1)
        return array

    def _check(self, page: Any, inputs: InputConfig) -> None:
        dtype, kind = page.dtype, _photometric(page)
        if dtype is None or dtype.kind not in "uifb":
            raise ImageError(
                f"Expected whole or real numbers in {self._name}, but got"
                f" {'an unknown type' if dtype is None else dtype.name}. Convert it."
            )
        usual = {_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _LINEAR_RAW}
        # decoders of JPEG give red, green and blue, others do not
        decoded = kind == _YCBCR and int(page.compression) in {_OLD_JPEG, _JPEG}
        if kind not in usual and not decoded:
            raise ImageError(
                f"Expected grey values, colours or bands in {self._name}, but got"
                f" {getattr(page.photometric, 'name', kind)} of {page.samplesperpixel} bands with"
                f" {int(np.max(page.bitspersample))} bits. Convert it to RGB."
            )
        self._check_size(page, inputs)

    def _check_size(self, page: Any, inputs: InputConfig) -> None:
        """Neither the whole nor one strip or tile may be too large."""
        part = math.prod(page.chunks) * (1 if page.dtype is None else page.dtype.itemsize)
        check_bytes(max(int(page.nbytes), part), inputs.megapixels, self._name)

    def _mask(self, page: Any, inputs: InputConfig) -> NDArray[np.bool_] | None:
        """(H, W) bool pixels that a mask in the file leaves out; None = there is none that fits."""
        for each in self._pages:
            if (
                int(each.subfiletype) & _MASK
                and not int(each.subfiletype) & _REDUCED
                and (each.imagewidth, each.imagelength) == (page.imagewidth, page.imagelength)
            ):
                self._check_size(each, inputs)
                found = _as_bands(np.asarray(each.asarray(maxworkers=1)), each.axes)[..., 0] == 0
                return found if found.any() else None
        return None


class MissingCodecError(ImageError):
    """A TIFF file needs a decoder that is not installed."""


ALPHA: Final = ReadingNote("alpha", "Transparent parts are shown over white.")
NO_ALPHA: Final = ReadingNote(
    "alpha",
    "The band that is tagged as opacity does not look like one (near infrared?) and is not used as"
    " such; --bands chooses it.",
)


def _missing_codec(page: Any, name: str) -> str:
    compression = getattr(page.compression, "name", page.compression)
    return (
        f"Expected a TIFF file that can be read without further packages, but {name} is compressed"
        f" with {compression}. Install them: pip install 'primaps[formats]'."
    )


def _chain(pages: Iterable[Any]) -> list[Any]:
    """The directories of a file, up to one that was there already: damaged chains may end in a
    loop.
    """
    found: list[Any] = []
    seen: set[int] = set()
    for page in itertools.islice(pages, _MOST_PAGES):
        if page.offset in seen:
            break
        seen.add(page.offset)
        found.append(page)
    return found


def _pictures(pages: list[Any]) -> list[tuple[int | None, Any]]:
    """Directories and sub-directories that hold a picture at full resolution."""
    found: list[tuple[int | None, Any]] = []
    for index, page in enumerate(pages):
        below = list(page.pages) if page.subifds else []
        candidates = [(index, page), *((None, each) for each in below)]
        found += [(place, each) for place, each in candidates if not _is_aside(each)]
    while any(_is_preview(found[0][1], each) for _, each in found[1:]):
        del found[0]
    return found


def _is_preview(page: Any, other: Any) -> bool:
    """Whether a page that no tag calls a preview is another one at half its size or less."""
    width, height = int(page.imagewidth), int(page.imagelength)
    wide, high = int(other.imagewidth), int(other.imagelength)
    same = abs(width * high - height * wide) <= max(wide, high)  # but for rounding
    return same and 2 * width <= wide + 1 and 2 * height <= high + 1 and (wide, high) > (1, 1)


def _palette(page: Any) -> NDArray[np.uint8]:
    """(3, n) colours."""
    table = np.asarray(page.colormap)
    if int(table.max()) < _LOW_PALETTE:
        return table.astype(np.uint8)
    return np.rint(table / 257).astype(np.uint8)


def _is_aside(page: Any) -> bool:
    """Of reduced resolution, or a mask."""
    old = page.tags.get(_OLD_SUBFILE)
    return bool(int(page.subfiletype) & (_REDUCED | _MASK)) or (old is not None and old.value == 2)


def _photometric(page: Any) -> int:
    return -1 if page.photometric is None else int(page.photometric)


def _is_usual(page: Any) -> bool:
    """Whether Pillow reads a directory as it is meant: 8 bits or fewer, and no further bands."""
    kind, dtype = _photometric(page), page.dtype
    bits = np.unique(page.bitspersample)
    further = page.samplesperpixel - _SAMPLES.get(kind, 0)
    return bool(
        kind in _SAMPLES
        and dtype is not None
        and dtype.kind in "ub"
        and dtype.itemsize == 1
        and len(bits) == 1
        and bits[0] in {1, 2, 4, 8}
        and int(page.compression) in _BY_PILLOW
        and (kind != _PALETTE or page.colormap is None or page.colormap.max() >= _LOW_PALETTE)
        and (further == 0 or (kind in {_RGB, _MINISBLACK} and further == 1 and _unassociated(page)))
        and getattr(page, "imagedepth", 1) == 1
    )


def _has_alpha(page: Any) -> bool:
    return bool(page.extrasamples) and int(page.extrasamples[-1]) in {_ASSOCIATED, _UNASSOCIATED}


def _unassociated(page: Any) -> bool:
    """Whether colours are stored as they are, not multiplied with their opacity."""
    return bool(page.extrasamples) and int(page.extrasamples[-1]) == _UNASSOCIATED


def _as_bands(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """(H, W, C) of an array of any order of axes; of a volume its first plane."""
    while len(axes) > 2 and axes[0] not in "SYX":
        array, axes = array[0], axes[1:]
    if axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    elif axes == "YX":
        array = array[..., None]
    elif axes != "YXS":
        raise ValueError(f"axes {axes}")
    return array


def _orientation(page: Any) -> int:
    tag = page.tags.get(_ORIENTATION)
    value = 1 if tag is None else tag.value
    return int(value) if isinstance(value, int) and value in range(1, 9) else 1


def _bytes(page: Any, tag: int) -> bytes | None:
    found = page.tags.get(tag)
    return found.value if found is not None and isinstance(found.value, bytes) else None


def _nodata(page: Any) -> float | None:
    tag = page.tags.get(_NODATA)
    if tag is None:
        return None
    try:
        return float(str(tag.value).strip(" \0").replace(",", "."))
    except ValueError:
        return None
