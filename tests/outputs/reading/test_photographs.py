"""Which photograph is meant."""

import pytest

from primaps.outputs.reading.photographs import PhotographNames

NAMES = PhotographNames(
    {
        "a.jpg": "a",
        "sub/a.jpg": "sub/a",
        "sub/b.png": "sub/b_png",
        "sub/b.jpg": "sub/b_jpg",
        "other/b.png": "other/b",
        "sub/c d.png": "sub/c d",
    }
)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("a.jpg", "a.jpg"),
        ("sub/a.jpg", "sub/a.jpg"),
        ("/data/images/sub/a.jpg", "sub/a.jpg"),
        ("images\\sub\\b.png", "sub/b.png"),
        ("images/a.jpg", "a.jpg"),
        ("c d.png", "sub/c d.png"),
        ("/data/upload/3/0a1b2c3d-c d.png", "sub/c d.png"),
        ("sub/b_png.png", "sub/b.png"),
        ("b.png", None),
        ("ba.jpg", None),
        ("", None),
    ],
)
def test_names(given, found):
    assert NAMES.find(given) == found


def test_stems():
    assert NAMES.find("sub/a", is_stem=True) == "sub/a.jpg"
    assert NAMES.find("sub/a.jpg", is_stem=True) == "sub/a.jpg"
    assert NAMES.find("b", is_stem=True) is None
