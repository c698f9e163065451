from __future__ import annotations

import io

import numpy as np
import PIL.Image
import pytest

from primaps.data.deep_png import deep_pixels, is_deep
from primaps.data.reading import read_photo


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_all_bits(odd_files, channels):
    values = np.random.default_rng(0).integers(0, 65536, (11, 13, channels), dtype=np.uint16)
    content = odd_files.png16(values)
    upper, lower = (PIL.Image.open(io.BytesIO(content)) for _ in range(2))
    assert is_deep(upper)
    assert np.array_equal(deep_pixels(upper, lower), values)


def test_others_are_not_deep(odd_files, photograph):
    grey = odd_files.png16(photograph[..., :1].astype(np.uint16))
    assert not is_deep(PIL.Image.open(io.BytesIO(grey)))
    assert not is_deep(PIL.Image.fromarray(photograph))


@pytest.mark.parametrize("channels", [1, 3])
def test_twelve_bits_in_sixteen_look_like_the_photograph(tmp_path, odd_files, photograph, channels):
    (tmp_path / "x.png").write_bytes(
        odd_files.png16(photograph[..., :channels].astype(np.uint16) * 16)
    )
    photo = read_photo(tmp_path / "x.png", 10**6)
    assert photo.values == ("uint16", 0, 4095)
    expected = np.broadcast_to(photograph[..., :channels], photograph.shape)
    assert np.abs(photo.image.astype(int) - expected).max() <= 1


def test_transparency_and_bands(tmp_path, odd_files, photograph):
    from primaps.config import InputConfig

    alpha = np.full((*photograph.shape[:2], 1), 255, np.uint8)
    alpha[:20] = 0
    values = np.concatenate([photograph, alpha], axis=2).astype(np.uint16) * 257
    (tmp_path / "x.png").write_bytes(odd_files.png16(values))
    photo = read_photo(tmp_path / "x.png", 10**6)
    assert (photo.image[:20] == 255).all()
    assert np.array_equal(photo.image[20:], photograph[20:])
    assert {note.kind for note in photo.notes} == {"alpha", "range"}
    other = read_photo(tmp_path / "x.png", 10**6, inputs=InputConfig("dtype", (4, 2, 1)))
    assert np.array_equal(other.image[..., 0], alpha[..., 0])
    assert np.array_equal(other.image[..., 1], photograph[..., 1])
