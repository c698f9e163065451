from __future__ import annotations

import os
from pathlib import Path

import pytest

from primaps.data.paths import is_printable, printable
from primaps.given import from_home


@pytest.mark.parametrize("text", ["a.jpg", "Straße/東京 é.png", ""])
def test_unicode_is_left_alone(text):
    assert printable(text) == text
    assert is_printable(text)


def test_other_bytes_are_shown_as_escapes():
    path = Path(os.fsdecode(b"a\xff\xc3\xa9.jpg"))
    assert printable(path) == "a\\xffé.jpg"
    assert not is_printable(path)


def test_home_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert from_home("~/x.jpg") == str(tmp_path / "x.jpg")
    assert from_home("a~/x.jpg") == "a~/x.jpg"
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "x.jpg").touch()
    assert from_home("~/x.jpg") == "~/x.jpg"
