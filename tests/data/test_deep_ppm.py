from __future__ import annotations

import numpy as np
import pytest

from primaps.data.deep_ppm import deep_header
from primaps.data.reading import read_photo
from primaps.errors import ImageError


@pytest.mark.parametrize(("top", "bits", "factor"), [(65535, 16, 257), (4095, 12, 16)])
def test_all_bits(tmp_path, draw, top, bits, factor):
    path = tmp_path / "x.ppm"
    content = (
        b"P6\n# drawn\n80 60\n%d\n" % top
        + (draw(0).astype(np.uint16) * factor).astype(">u2").tobytes()
    )
    path.write_bytes(content)
    with path.open("rb") as stream:
        assert deep_header(stream).bits == bits
    photo = read_photo(path, 10**6)
    assert photo.values == ("uint16", 0, top)
    assert np.abs(photo.image.astype(int) - draw(0)).max() <= 1
    path.write_bytes(content[:-9])
    with pytest.raises(ImageError, match="9 bytes are missing"):
        read_photo(path, 10**6)


def test_low_values_in_sixteen_bits(tmp_path, draw):
    low = (draw(0).astype(np.uint16) * 12).astype(">u2")
    (tmp_path / "x.ppm").write_bytes(b"P6 80 60 65535\n" + low.tobytes())
    assert read_photo(tmp_path / "x.ppm", 10**6).image.max() > 150


@pytest.mark.parametrize("kind", [2, 3, 5])
@pytest.mark.parametrize(("top", "factor"), [(65535, 257), (4095, 16)])
def test_grey_ones_and_plain_ones_are_taken_as_they_are_stored(tmp_path, draw, kind, top, factor):
    path, image = tmp_path / "x.pnm", draw(0)
    values = (image if kind == 3 else image[..., 0]).astype(np.uint16) * factor
    text = b"# drawn\n" + b" ".join(b"%d" % each for each in values.ravel())
    content = values.astype(">u2").tobytes() if kind == 5 else text
    path.write_bytes(b"P%d 80 60\n%d\n" % (kind, top) + content)
    photo = read_photo(path, 10**6)
    assert photo.values == ("uint16", 0, top)
    assert np.abs(photo.image[..., 0].astype(int) - image[..., 0]).max() <= 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"P3 1 1 999\n1 2", "1 of 3 values are missing"),
        (b"P2 1 1 999\n1000", "a value is larger than 999"),
        (b"P2 1 1 999\nx", "something else than numbers"),
        (b"P5 1 1 999\nx", "1 bytes are missing"),
    ],
)
def test_damaged_ones_are_listed(tmp_path, content, text):
    (tmp_path / "x.pgm").write_bytes(content)
    with pytest.raises(ImageError, match=text):
        read_photo(tmp_path / "x.pgm", 10**6)


@pytest.mark.parametrize(
    "content", [b"P6 1 1 255\nabc", b"P5 1 1 70000\nab", b"P1 1 1 999\n1", b"x"]
)
def test_others_are_not_deep(tmp_path, content):
    (tmp_path / "x.ppm").write_bytes(content)
    with (tmp_path / "x.ppm").open("rb") as stream:
        assert deep_header(stream) is None
