from __future__ import annotations

import importlib.util

import numpy as np
import PIL.Image
import pytest

from primaps.data.heic import is_heic
from primaps.data.reading import count_pixels, read_image, read_photo
from primaps.errors import ImageError


def test_pictures_of_phones_are_read_upright(tmp_path, odd_files):
    path = tmp_path / "IMG_1.HEIC"
    path.write_bytes(odd_files.HEIC)
    photo = read_photo(path, 10**6)
    assert (photo.height, photo.width, photo.image.shape) == (96, 64, (96, 64, 3))
    for place, colour in (((10, 30), (200, 30, 30)), ((80, 10), (30, 200, 30))):
        assert np.abs(photo.image[place].astype(int) - colour).max() <= 3
    assert [note.kind for note in photo.notes] == ["orientation"]
    assert count_pixels(path) == 96 * 64
    assert read_image(path, 600).shape == (30, 20, 3)
    assert "HEIF" not in PIL.Image.OPEN  # nothing is registered with Pillow


def test_damaged(tmp_path, odd_files):
    for number, length in enumerate((40, 300, 450, 500)):
        path = tmp_path / f"{number}.heic"
        path.write_bytes(odd_files.HEIC[:length])
        with pytest.raises(ImageError, match=r"\d\.heic is .*damaged"):
            read_image(path)
    assert is_heic(odd_files.HEIC[:12])
    assert not is_heic(b"\0\0\0\x1cftypavif")


def test_without_the_extra_the_message_names_it(tmp_path, odd_files, monkeypatch):
    (tmp_path / "x.heic").write_bytes(odd_files.HEIC)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImageError, match=r"x\.heic is a HEIC file. .* pip install 'primaps\[form"):
        read_image(tmp_path / "x.heic")
    assert count_pixels(tmp_path / "x.heic") == 0
