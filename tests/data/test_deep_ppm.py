from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from primaps.data.deep_ppm import deep_bits
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
    with PIL.Image.open(path) as image:
        assert deep_bits(image) == bits
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


@pytest.mark.parametrize(
    "content", [b"P6 1 1 255\nabc", b"P5 1 1 65535\nab", b"P3 1 1 999\n1 2 3 "]
)
def test_others_are_not_deep_colours(tmp_path, content):
    (tmp_path / "x.ppm").write_bytes(content)
    with PIL.Image.open(tmp_path / "x.ppm") as image:
        assert deep_bits(image) == 0
