from __future__ import annotations

import pytest

from primaps.data.jpeg.entropy import huffman_table


def test_table():
    table = huffman_table(bytes([0, 1, 2, *[0] * 13]), b"abc")
    assert table[0b00 << 14] == 2 << 8 | ord("a")
    assert table[0b010 << 13] == 3 << 8 | ord("b")
    assert table[(0b011 << 13) + 5000] == 3 << 8 | ord("c")
    assert table[0b100 << 13] == 0


def test_too_many_codes():
    with pytest.raises(ValueError, match="too many codes"):
        huffman_table(bytes([3, *[0] * 15]), b"abc")
