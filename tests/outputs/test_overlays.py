import numpy as np
import pytest
from PIL import Image

from primaps.outputs.overlays import overlay_stamp, write_overlay


def test_a_picture_says_what_it_was_made_from(tmp_path, photograph):
    path = tmp_path / "sub" / "a.png.jpg"
    write_overlay(path, photograph, "abc")
    assert overlay_stamp(path) == "abc"
    with Image.open(path) as picture:
        assert np.abs(np.asarray(picture).astype(int) - photograph).mean() < 8
    first = path.read_bytes()
    write_overlay(path, photograph, "abc")
    assert path.read_bytes() == first


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_what_says_nothing_is_made_anew(tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    assert overlay_stamp(path) is None


def test_other_pictures_say_nothing(tmp_path, photograph):
    Image.fromarray(photograph).save(tmp_path / "a.jpg")
    assert overlay_stamp(tmp_path / "a.jpg") is None
