"""What is wrong with the data of a JPEG file: its scans are walked through as a decoder does it.

libjpeg goes on with garbage where codes make no sense, and Pillow does not pass on what it warns
of. Files of kinds that are rare (arithmetic coding, lossless, hierarchical) are not looked at.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SEQUENTIAL: Final = (0xC0, 0xC1)
_PROGRESSIVE: Final = 0xC2
_DHT, _SOS, _EOI, _DRI, _DNL, _DQT = 0xC4, 0xDA, 0xD9, 0xDD, 0xDC, 0xDB
_UNSEEN: Final = {0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), _DNL}
"""Kinds of files that are not looked at."""
_ALONE: Final = {0x01, 0xFF, *range(0xD0, 0xD9)}
"""Markers, and a filling byte, that no segment follows."""
_LARGEST_NORM: Final = 1024.0
_MOST_BLOCKS: Final = 2_500_000
"""Of a progressive file: of each one it is kept which coefficients are not zero."""
_SLACK: Final = 2
"""Bytes too many at the end of a scan that mean nothing: some programs pad."""
_WORDS: Final = {
    -1: "they end before the picture is complete",
    -2: "a code in them makes no sense",
    -3: "a restart marker is not where it should be",
    -4: "a part of them gives colours that no picture has",
}


@dataclass
class _Frame:
    """Size, components (horizontal and vertical factors, blocks across, offset) by id, number of
    the quantisation table by id.
    """

    width: int
    height: int
    progressive: bool
    components: dict[int, tuple[int, int, int, int]]
    most: tuple[int, int]
    blocks: int
    quantisation: dict[int, int]
    known: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((1, 64), np.uint8))


def damage(data: bytes) -> str | None:
    """What is wrong with the entropy-coded data of a JPEG file, in words that follow "the data are
    damaged:"; None if nothing is, or if that cannot be said.

    Args:
        data: The file. What follows the first picture is not looked at.
    """
    try:
        import primaps.data.jpeg.entropy  # noqa: F401  # compiled when it is first needed
    except ImportError:  # numba was told not to compile
        return None
    try:
        return _Walk(data).result()
    except (ValueError, IndexError, KeyError, struct.error):
        return "its headers contradict each other"


class _Walk:
    def __init__(self, data: bytes) -> None:
        self._bytes = data
        self._data = np.frombuffer(data, dtype=np.uint8)
        self._tables = np.zeros((8, 66048), dtype=np.uint16)
        self._steps = np.zeros((4, 65))
        self._interval = 0
        self._frame: _Frame | None = None

    def result(self) -> str | None:
        """Walk through all segments; an end that is missing is no damage of pixels."""
        position = 2
        while position + 4 <= len(self._bytes):
            if self._bytes[position] != 0xFF:
                return "there is something else between its parts"
            marker = self._bytes[position + 1]
            if marker == _EOI or marker in _UNSEEN:
                return None
            if marker in _ALONE:
                position += 1 if marker == 0xFF else 2
                continue
            (length,) = struct.unpack_from(">H", self._bytes, position + 2)
            segment = self._bytes[position + 4 : position + 2 + length]
            position += 2 + length
            if marker != _SOS:
                self._note(marker, segment)
            elif self._frame is None:
                return None
            else:
                position, found = self._walked(self._frame, segment, position)
                if found is not None:
                    return found
        return None

    def _walked(self, frame: _Frame, segment: bytes, position: int) -> tuple[int, str | None]:
        """Position behind a scan, and what is wrong with it."""
        position, code = self._scan(frame, segment, position)
        if code:
            return position, _WORDS[code]
        position, left = self._next_marker(position)
        return position, f"{left} bytes of them are left over" if left > _SLACK else None

    def _note(self, marker: int, segment: bytes) -> None:
        if marker == _DHT:
            while len(segment) > 17:
                kind, counts = segment[0], segment[1:17]
                number = sum(counts)
                from primaps.data.jpeg.entropy import huffman_table

                self._tables[(kind >> 4 & 1) * 4 + (kind & 3)] = huffman_table(
                    counts, segment[17 : 17 + number]
                )
                segment = segment[17 + number :]
        elif marker == _DQT:
            while segment:
                number, wide = segment[0] & 3, segment[0] >> 4
                length = 128 if wide else 64
                layout = f">64{'H' if wide else 'B'}"
                steps = np.array(struct.unpack(layout, segment[1 : 1 + length]), np.float64)
                largest = (_LARGEST_NORM + np.sqrt((steps**2).sum())) ** 2
                self._steps[number] = [*steps, largest]
                segment = segment[1 + length :]
        elif marker == _DRI:
            (self._interval,) = struct.unpack(">H", segment[:2])
        elif marker in {*_SEQUENTIAL, _PROGRESSIVE}:
            frame = _frame(segment, progressive=marker == _PROGRESSIVE)
            seen = segment[0] == 8 and frame.height > 0 and frame.blocks <= _MOST_BLOCKS
            self._frame = frame if seen else None

    def _scan(self, frame: _Frame, segment: bytes, position: int) -> tuple[int, int]:
        from primaps.data.jpeg.entropy import scan_state, walk_scan

        number = segment[0]
        chosen = [(segment[1 + 2 * i], segment[2 + 2 * i]) for i in range(number)]
        start, stop, approximation = segment[1 + 2 * number : 4 + 2 * number]
        if not frame.progressive:
            start, stop, approximation = 0, 63, 0
        elif start == 0:
            stop = 0
        layout = np.zeros((number, 6), dtype=np.int64)
        steps = np.zeros((number, 65))
        for row, (component, tables) in enumerate(chosen):
            wide, high, stride, offset = frame.components[component]
            if not frame.progressive:
                steps[row] = self._steps[frame.quantisation[component]]
            alone = number == 1
            layout[row] = (
                *((1, 1) if alone else (wide, high)),
                stride,
                offset,
                tables >> 4 & 3,
                4 + (tables & 3),
            )
        units = self._units(frame, [component for component, _ in chosen])
        numbers = np.array(
            [*units, self._interval, start, min(stop, 63), approximation >> 4 > 0], np.int64
        )
        state = scan_state(position)
        code = walk_scan(self._data, state, layout, self._tables, frame.known, steps, numbers)
        return int(state[0]) - int(state[2]) // 8, code

    @staticmethod
    def _units(frame: _Frame, chosen: list[int]) -> tuple[int, int]:
        """Units of a scan across and down: blocks of one component, or groups of several."""
        most_wide, most_high = frame.most
        if len(chosen) > 1:
            return _parts(frame.width, 8 * most_wide), _parts(frame.height, 8 * most_high)
        wide, high = frame.components[chosen[0]][:2]
        return (
            _parts(_parts(frame.width * wide, most_wide), 8),
            _parts(_parts(frame.height * high, most_high), 8),
        )

    def _next_marker(self, position: int) -> tuple[int, int]:
        """Position of the next marker, and how many bytes come before it."""
        found = position
        while True:
            found = self._bytes.find(b"\xff", found)
            if found < 0 or found + 1 >= len(self._bytes):
                return len(self._bytes), 0
            if self._bytes[found + 1] not in {0, 0xFF}:
                return found, found - position
            found += 2 if self._bytes[found + 1] == 0 else 1


def _frame(segment: bytes, *, progressive: bool) -> _Frame:
    _, height, width, number = struct.unpack_from(">BHHB", segment)
    factors = {
        segment[6 + 3 * i]: (segment[7 + 3 * i] >> 4, segment[7 + 3 * i] & 15)
        for i in range(number)
    }
    most = max(each[0] for each in factors.values()), max(each[1] for each in factors.values())
    if not width or any(not 1 <= factor <= 4 for each in factors.values() for factor in each):
        raise ValueError("sizes")
    components: dict[int, tuple[int, int, int, int]] = {}
    blocks = 0
    for component, (wide, high) in factors.items():
        across = _parts(width, 8 * most[0]) * wide
        components[component] = (wide, high, across, blocks)
        blocks += across * _parts(height, 8 * most[1]) * high
    tables = {segment[6 + 3 * i]: segment[8 + 3 * i] & 3 for i in range(number)}
    frame = _Frame(
        width, height, progressive, components, most, blocks if progressive else 0, tables
    )
    if progressive and blocks <= _MOST_BLOCKS:
        frame.known = np.zeros((max(blocks, 2), 64), np.uint8)
    return frame


def _parts(length: int, size: int) -> int:
    return -(-length // size)
