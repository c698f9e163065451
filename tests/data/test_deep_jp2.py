from __future__ import annotations

import importlib.util

import imagecodecs
import numpy as np
import PIL.Image
import pytest

from primaps.data.deep_jp2 import deep_bits
from primaps.data.reading import read_photo


@pytest.mark.parametrize(("bits", "factor", "top"), [(16, 257, 65535), (12, 16, 4095)])
def test_all_bits(tmp_path, draw, bits, factor, top):
    path = tmp_path / "x.jp2"
    values = draw(0).astype(np.uint16) * factor
    path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0, bitspersample=bits))
    with path.open("rb") as stream, PIL.Image.open(path) as image:
        assert deep_bits(image, stream) == bits
    photo = read_photo(path, 10**6)
    assert photo.values == ("uint16", 0, top)
    assert np.abs(photo.image.astype(int) - draw(0)).max() <= 1


def test_without_the_extra_the_upper_bits_are_used_and_noted(tmp_path, draw, monkeypatch):
    path = tmp_path / "x.jp2"
    values = (draw(0) // 2).astype(np.uint16) * 257
    path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    photo = read_photo(path, 10**6)
    assert np.abs(photo.image.astype(int) - draw(0) // 2).max() <= 1
    assert "The upper 8 of 16 bits are used" in photo.notes[0].text


def test_usual_ones_are_left_to_pillow(tmp_path, draw):
    PIL.Image.fromarray(draw(0)).save(tmp_path / "x.jp2")
    with (tmp_path / "x.jp2").open("rb") as stream, PIL.Image.open(tmp_path / "x.jp2") as image:
        assert deep_bits(image, stream) == 0
    assert read_photo(tmp_path / "x.jp2", 10**6).notes == ()


@pytest.mark.parametrize(("bits", "factor", "top"), [(16, 257, 65535), (12, 16, 4095)])
def test_grey_values_are_those_that_are_stored(tmp_path, draw, bits, factor, top):
    path, grey = tmp_path / "x.jp2", draw(0)[..., 0]
    values = grey.astype(np.uint16) * factor
    path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0, bitspersample=bits))
    photo = read_photo(path, 10**6)
    assert photo.values == ("uint16", 0, top)
    assert np.abs(photo.image[..., 0].astype(int) - grey).max() <= 1


def test_grey_and_opacity(tmp_path, draw):
    path, grey = tmp_path / "x.jp2", draw(0)[..., 0].astype(np.uint16)
    values = np.dstack([grey * 16, np.full_like(grey, 65535)])
    path.write_bytes(imagecodecs.jpeg2k_encode(values, level=0))
    photo = read_photo(path, 10**6)
    assert [note.kind for note in photo.notes] == ["range"]
    assert np.abs(photo.image[..., 0].astype(int) - grey).max() <= 1
