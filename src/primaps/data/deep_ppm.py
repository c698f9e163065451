"""PGM and PPM files of more than 8 bits with all their bits and as they are stored: of colours
Pillow keeps the upper eight, grey ones it stretches to sixteen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import BufferedReader
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_GAP: Final = rb"(?:\s|#[^\r\n]*[\r\n])+"
_NUMBER: Final = rb"(\d{1,9})"
_HEADER: Final = re.compile(
    rb"P([2356])" + _GAP + _NUMBER + _GAP + _NUMBER + _GAP + _NUMBER + rb"(?:#[^\r\n]*)?\s"
)
_SEARCHED: Final = 1 << 16
_PLAIN: Final = (2, 3)


@dataclass(frozen=True)
class PpmHeader:
    """What a PGM or PPM file of more than 8 bits says of itself.

    Attributes:
        height: In pixels.
        width: Likewise.
        bands: 1 or 3.
        top: The largest value, 256..65535.
        plain: Values are written as text.
        offset: Bytes before the values.
    """

    height: int
    width: int
    bands: int
    top: int
    plain: bool
    offset: int

    @property
    def bits(self) -> int:
        """That the largest value has."""
        return self.top.bit_length()


def deep_header(stream: BufferedReader) -> PpmHeader | None:
    """The header of a PGM or PPM file, if it has more than 8 bits."""
    stream.seek(0)
    found = _HEADER.match(stream.read(_SEARCHED))
    if found is None:
        return None
    kind, width, height, top = (int(each) for each in found.groups())
    if not 255 < top < 65536:
        return None
    bands = 3 if kind in {3, 6} else 1
    return PpmHeader(height, width, bands, top, kind in _PLAIN, found.end())


def ppm_pixels(header: PpmHeader, stream: BufferedReader) -> NDArray[np.uint16]:
    """(H, W, 1 or 3) uint16 pixels.

    Raises:
        ValueError: If the file is truncated or damaged.
    """
    stream.seek(header.offset)
    number = header.height * header.width * header.bands
    found = _written(stream.read()) if header.plain else _stored(stream, number)
    if found.size < number:
        raise ValueError(f"{number - found.size} of {number} values are missing")
    pixels = found[:number]
    if pixels.max(initial=0) > header.top:
        raise ValueError(f"a value is larger than {header.top}")
    return pixels.reshape(header.height, header.width, header.bands).astype(np.uint16)


def _stored(stream: BufferedReader, number: int) -> NDArray[Any]:
    content = stream.read(2 * number)
    if len(content) < 2 * number:
        raise ValueError(f"{2 * number - len(content)} bytes are missing")
    return np.frombuffer(content, dtype=">u2")


def _written(content: bytes) -> NDArray[Any]:
    text = re.sub(rb"#[^\r\n]*", b"", content)
    if re.fullmatch(rb"[\d\s]*", text) is None:
        raise ValueError("there is something else than numbers")
    return np.fromstring(text, dtype=np.int64, sep=" ")
