"""Entropy-coded data of a JPEG scan, walked through without making pixels (ITU-T T.81, annexes F
and G).

Beside codes that make no sense, a block shows damage if no picture has it: by Parseval's theorem
the coefficients of 8 x 8 values between -128 and 127 have a norm of at most 1024, and rounding adds
at most the norm of the quantisation steps. After damage, sums of differences (the first coefficient
of each block) often run out of these bounds.

``state`` is (3,) int64: position in the data, bits read ahead, their number. Functions give a
number from 0 on, or one of the codes `SHORT`, `WRONG_CODE`, `WRONG_RESTART`, `WILD`. Huffman tables
are (66048,) uint16: for every 16 bits the length of the code that they begin with times 256, plus
its symbol; 0 = no code. Then the same for every 9 bits, for codes that are not longer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.compute.compiling.functions import compiled, inlined

FINE: Final = 0
SHORT: Final = -1
WRONG_CODE: Final = -2
WRONG_RESTART: Final = -3
WILD: Final = -4


@inlined
def _fill(data: NDArray[np.uint8], state: NDArray[np.int64]) -> None:
    """Read ahead until there are more than 40 bits, or a marker."""
    position, bits, count = state[0], state[1], state[2]
    while count <= 40 and position < len(data):
        byte = np.int64(data[position])
        if byte == 255:
            if position + 1 >= len(data) or data[position + 1] != 0:
                break
            position += 1
        position += 1
        bits = ((bits & 0xFFFFFFFFFF) << 8) | byte
        count += 8
    state[0], state[1], state[2] = position, bits, count


@inlined
def _symbol(data: NDArray[np.uint8], state: NDArray[np.int64], table: NDArray[np.uint16]) -> int:
    """The next symbol."""
    if state[2] < 32:
        _fill(data, state)
    count = state[2]
    peeked = (state[1] >> (count - 16) if count >= 16 else state[1] << (16 - count)) & 0xFFFF
    entry = np.int64(table[peeked])
    length = entry >> 8
    if length == 0 or length > count:
        return SHORT if count < 16 else WRONG_CODE
    state[2] = count - length
    symbol: int = int(entry & 255)
    return symbol


@inlined
def _bits(data: NDArray[np.uint8], state: NDArray[np.int64], number: int) -> int:
    """The next bits as a number."""
    if state[2] < number:
        _fill(data, state)
        if state[2] < number:
            return SHORT
    state[2] -= number
    value: int = (state[1] >> state[2]) & ((1 << number) - 1)
    return value


@inlined
def _signed(value: int, size: int) -> int:
    """The number that ``size`` bits stand for (F.2.2.1)."""
    return value if size == 0 or value >> (size - 1) else value - (1 << size) + 1


@inlined
def _more_blocks(data: NDArray[np.uint8], state: NDArray[np.int64], power: int) -> int:
    """How many blocks after this one have nothing more in this scan."""
    more = _bits(data, state, power) if power > 0 else 0
    return more if more < 0 else (1 << power) + more - 1


@inlined
def _first_coefficient(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    table: NDArray[np.uint16],
    before: NDArray[np.int64],
) -> int:
    """Add the difference of a block to ``before``, (1,) the first coefficient of the former one."""
    size = _symbol(data, state, table)
    if size < 0 or size > 16:
        return size if size < 0 else WRONG_CODE
    value = _bits(data, state, size)
    if value < 0:
        return value
    before[0] += _signed(value, size)
    return FINE


@inlined
def _other_coefficients(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    table: NDArray[np.uint16],
    spectral: tuple[int, int],
    run: NDArray[np.int64],
    known: NDArray[np.uint8],
    steps: NDArray[np.float64],
    square: NDArray[np.float64],
) -> int:
    """Coefficients of a block in a sequential scan, or in the first scan that has them.

    Args:
        data: The file.
        state: See the module.
        table: Of their symbols.
        spectral: The first and the last one.
        run: (1,) blocks that have nothing more in this scan.
        known: (64,) set to 1 for coefficients that are not zero.
        steps: (65,) quantisation steps.
        square: (1,) to which their squares are added.
    """
    k, stop = spectral
    bits, count = state[1], state[2]  # in registers: this is where the time goes
    while k <= stop:
        if count < 32:
            state[2] = count
            _fill(data, state)
            bits, count = state[1], state[2]
        peeked = (bits >> (count - 16) if count >= 16 else bits << (16 - count)) & 0xFFFF
        entry = np.int64(table[65536 + (peeked >> 7)])
        if entry == 0:
            entry = np.int64(table[peeked])
        skip, size = int(entry >> 4) & 15, int(entry) & 15
        count -= (entry >> 8) + size
        if entry == 0 or count < 0:
            return SHORT if count < 0 else WRONG_CODE
        k += skip
        if size > 0 and k <= stop:
            value = int((bits >> count) & ((1 << size) - 1))
            if value >> (size - 1) == 0:
                value -= (1 << size) - 1
            square[0] += (value * steps[k]) ** 2
            known[k] = 1
        elif size > 0:
            return WRONG_CODE
        elif skip < 15:
            state[2] = count
            run[0] = _more_blocks(data, state, int(skip))
            return min(int(run[0]), FINE)
        k += 1
    state[2] = count
    return FINE


@inlined
def _pass_by(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    known: NDArray[np.uint8],
    spectral: tuple[int, int],
    zeros: int,
) -> int:
    """Read the corrections of coefficients that are not zero, up to behind so many that are.

    Returns:
        The next coefficient, or a code.
    """
    k, stop = spectral
    while k <= stop:
        if known[k]:
            if _bits(data, state, 1) < 0:
                return SHORT
        elif zeros == 0:
            break
        else:
            zeros -= 1
        k += 1
    return k


@inlined
def _refined_block(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    table: NDArray[np.uint16],
    spectral: tuple[int, int],
    run: NDArray[np.int64],
    known: NDArray[np.uint8],
) -> int:
    """One block of a scan that refines coefficients; arguments as for `_other_coefficients`."""
    k, stop = spectral
    if run[0] > 0:
        run[0] -= 1
        return min(_pass_by(data, state, known, (k, stop), 64), FINE)
    while k <= stop:
        symbol = _symbol(data, state, table)
        skip, size = symbol >> 4, symbol & 15
        if symbol < 0 or size > 1:
            return symbol if symbol < 0 else WRONG_CODE
        if size == 0 and skip < 15:
            run[0] = _more_blocks(data, state, skip)
            return min(int(run[0]), FINE, _pass_by(data, state, known, (k, stop), 64))
        if size == 1 and _bits(data, state, 1) < 0:
            return SHORT
        k = _pass_by(data, state, known, (k, stop), skip)
        if k < 0 or (size == 1 and k > stop):
            return k if k < 0 else WRONG_CODE
        if size == 1:
            known[k] = 1
        k += 1
    return FINE


@inlined
def _first_block(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    tables: tuple[NDArray[np.uint16], NDArray[np.uint16]],
    spectral: tuple[int, int],
    run: NDArray[np.int64],
    known: NDArray[np.uint8],
    steps: NDArray[np.float64],
    before: NDArray[np.int64],
    square: NDArray[np.float64],
) -> int:
    """One block of a sequential scan, or of the first scan that has its coefficients.

    Args:
        data: The file.
        state: See the module.
        tables: Of the first coefficient, and of the others.
        spectral: First and last coefficient of the scan.
        run: As for `_other_coefficients`.
        known: Likewise.
        steps: (65,) quantisation steps, and the largest square of a norm; 0 = not looked at.
        before: (1,) first coefficient of the component's former block, replaced by this one's.
        square: (1,) of the norm, computed here.
    """
    start, stop = spectral
    square[0] = 0.0
    if start == 0:
        found = _first_coefficient(data, state, tables[0], before)
        if found < 0:
            return found
        square[0] = (before[0] * steps[0]) ** 2
    if run[0] > 0:
        run[0] -= 1
        return FINE
    found = _other_coefficients(
        data, state, tables[1], (max(start, 1), stop), run, known, steps, square
    )
    return WILD if found == FINE and 0 < steps[64] < square[0] else found


@inlined
def _restarted(data: NDArray[np.uint8], state: NDArray[np.int64], number: int) -> bool:
    """Go behind the restart marker of a number, which has to come next."""
    _fill(data, state)
    position = state[0]
    if state[2] >= 8 or position + 1 >= len(data):
        return False
    while position + 2 < len(data) and data[position] == 255 and data[position + 1] == 255:
        position += 1
    if data[position] != 255 or data[position + 1] != 0xD0 + (number & 7):
        return False
    state[0], state[1], state[2] = position + 2, 0, 0
    return True


@inlined
def _index(layout: NDArray[np.int64], unit: int, across: int, block: int) -> int:
    """Place in ``known`` of a block of a unit."""
    wide, high, stride, offset = layout[0], layout[1], layout[2], layout[3]
    row = unit // across * high + block // wide
    return int(offset + row * stride + unit % across * wide + block % wide)


@compiled
def walk_scan(
    data: NDArray[np.uint8],
    state: NDArray[np.int64],
    layout: NDArray[np.int64],
    tables: NDArray[np.uint16],
    known: NDArray[np.uint8],
    steps: NDArray[np.float64],
    numbers: NDArray[np.int64],
) -> int:
    """Walk through one scan.

    Args:
        data: The file.
        state: (3,) int64, at the first byte of the scan; afterwards behind its last one.
        layout: (n, 6) int64 per component: blocks across and down in one unit, blocks across of the
            whole plane, offset of its blocks in ``known``, numbers of its two tables.
        tables: (8, 66048) Huffman tables.
        known: (blocks, 64) uint8 which coefficients are not zero; (1, 64) for sequential files,
            where nobody asks.
        steps: (n, 65) per component, see `_first_block`.
        numbers: Units across and down, units between restarts (0 = none), first and last
            coefficient, 1 if the scan refines.
    """
    across, down, interval = numbers[0], numbers[1], numbers[2]
    spectral, refines = (numbers[3], numbers[4]), numbers[5] == 1
    run = np.zeros(1, np.int64)
    before, square = np.zeros((len(layout), 1), np.int64), np.zeros(1)
    until, restarts = interval, 0
    for unit in range(across * down):
        if interval > 0:
            if until == 0:
                if not _restarted(data, state, restarts):
                    return WRONG_RESTART
                until, restarts, run[0] = interval, restarts + 1, 0
                before[:] = 0
            until -= 1
        for component in range(len(layout)):
            dc, ac = tables[layout[component, 4]], tables[layout[component, 5]]
            for block in range(layout[component, 0] * layout[component, 1]):
                index = _index(layout[component], unit, across, block) if len(known) > 1 else 0
                if not refines:
                    found = _first_block(
                        data,
                        state,
                        (dc, ac),
                        spectral,
                        run,
                        known[index],
                        steps[component],
                        before[component],
                        square,
                    )
                elif spectral[0] == 0:
                    found = min(_bits(data, state, 1), FINE)
                else:
                    found = _refined_block(data, state, ac, spectral, run, known[index])
                if found != FINE:
                    return found
    _fill(data, state)
    return FINE


def huffman_table(counts: bytes, symbols: bytes) -> NDArray[np.uint16]:
    """(66048,) uint16 table of a Huffman code, see the module.

    Args:
        counts: 16 numbers of codes by length.
        symbols: In the order of the codes.

    Raises:
        ValueError: If there are more codes than fit.
    """
    table = np.zeros(65536 + 512, dtype=np.uint16)
    start, symbol = 0, 0
    for length, number in enumerate(counts, start=1):
        width = 1 << (16 - length)
        for _ in range(number):
            if start + width > 65536 or symbol >= len(symbols):
                raise ValueError("a Huffman table with too many codes")
            table[start : start + width] = length << 8 | symbols[symbol]
            start, symbol = start + width, symbol + 1
    short = table[:65536:128]
    table[65536:] = np.where(short >> 8 <= 9, short, 0)
    return table


def scan_state(position: int) -> NDArray[Any]:
    """State at the first byte of a scan."""
    return np.array([position, 0, 0], dtype=np.int64)
