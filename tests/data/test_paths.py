from __future__ import annotations

import os
from pathlib import Path

import pytest

from primaps.data.paths import is_printable, printable


@pytest.mark.parametrize("text", ["a.jpg", "Straße/東京 é.png", ""])
def test_unicode_is_left_alone(text):
    assert printable(text) == text
    assert is_printable(text)


def test_other_bytes_are_shown_as_escapes():
    path = Path(os.fsdecode(b"a\xff\xc3\xa9.jpg"))
    assert printable(path) == "a\\xffé.jpg"
    assert not is_printable(path)
