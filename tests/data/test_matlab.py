from __future__ import annotations

import contextlib

import numpy as np
import PIL.Image
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primaps.data.labels import read_labels
from primaps.data.matlab import is_matlab
from primaps.data.reading import count_pixels, read_image, read_photo
from primaps.errors import ImageError, PrimapsError


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)


def _save(path, compress=False, **variables):
    scipy.io.savemat(path, variables, do_compression=compress)
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["tile.mat", "tile.png"])
def test_content_decides_and_infrared_is_dropped(tmp_path, pixels, compress, name):
    path = _save(tmp_path / name, compress, other=np.eye(3), img=pixels)
    image = read_image(path)
    assert np.array_equal(image, pixels[..., :3])
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert count_pixels(path) == 600


def test_photos_are_reduced_and_identified_like_other_images(tmp_path, pixels):
    path = _save(tmp_path / "tile.mat", img=pixels)
    PIL.Image.fromarray(pixels[..., :3]).save(tmp_path / "tile.png")
    tile, picture = read_photo(path, 100), read_photo(tmp_path / "tile.png", 100)
    assert np.array_equal(tile.image, picture.image)
    assert tile.image.shape[0] * tile.image.shape[1] <= 100
    assert (tile.height, tile.width) == (20, 30)
    assert tile.sha256 != picture.sha256
    assert read_photo(path, 10_000).sha256 == tile.sha256


@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int16])
def test_labels_as_stored(tmp_path, dtype):
    stored = np.array([[0, 5, 3], [4, 1, 2]], dtype=dtype)
    labels = read_labels(_save(tmp_path / "gt.mat", gt=stored))
    assert labels.dtype == np.int64
    assert np.array_equal(labels, stored)
    assert read_labels(_save(tmp_path / "negative.mat", gt=np.full((2, 2), -1, np.int32))).tolist() == [[-1, -1]] * 2


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"image": np.zeros((2, 2, 3), np.uint8)}, r"variable 'img' of class uint8 in .*x\.mat, but it has image \(uint8\)\."),
        ({}, "but it has no variable"),
        ({"img": np.zeros((2, 2, 3))}, r"img \(double\)"),
        ({"img": "text"}, r"img \(char\)"),
        ({"img": {"a": 1}}, r"img \(struct\)"),
        ({"img": np.array([np.zeros(2), "x"], dtype=object)}, r"img \(cell\)"),
        ({"img": np.zeros((2, 2), np.uint8)}, r"the shape \(height, width, 3 or more\), but got \(2, 2\)"),
        ({"img": np.zeros((0, 2, 3), np.uint8)}, "the shape"),
    ],
)
def test_other_variables_are_refused_by_name_and_kind(tmp_path, variables, message):
    with pytest.raises(ImageError, match=message):
        read_image(_save(tmp_path / "x.mat", **variables))


def test_labels_of_other_kinds(tmp_path):
    with pytest.raises(ImageError, match=r"'gt' of class uint8 or .*gt \(double\)"):
        read_labels(_save(tmp_path / "x.mat", gt=np.zeros((2, 2))))
    with pytest.raises(PrimapsError, match=r"'gt' in .* the shape \(height, width\), but got \(2, 2, 2\)"):
        read_labels(_save(tmp_path / "x.mat", gt=np.zeros((2, 2, 2), np.int32)))


def test_other_versions(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    with pytest.raises(ImageError, match=r"Expected a MAT file of version 5, but .*x\.mat is of another version"):
        read_image(tmp_path / "x.mat")
    assert count_pixels(tmp_path / "x.mat") == 0


def test_a_huge_array_is_refused_before_it_is_read(tmp_path, pixels, monkeypatch):
    path = _save(tmp_path / "x.mat", img=pixels)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 299)
    monkeypatch.setattr(scipy.io, "loadmat", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ImageError, match=r"shape \(20, 30, 4\) exceeds the limit of 598 pixels"):
        read_image(path)


def test_signature(tmp_path, pixels):
    path = _save(tmp_path / "x.mat", img=pixels)
    with path.open("rb") as stream:
        assert is_matlab(stream)
        assert stream.tell() == 0
    with (tmp_path / "y").open("wb+") as file:
        file.write(b"MATL")
    with (tmp_path / "y").open("rb") as stream:
        assert not is_matlab(stream)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.integers(8, 2600), st.lists(st.tuples(st.integers(8, 2600), st.integers(0, 255)), max_size=3))
def test_damaged_files_raise_nothing_but_image_errors(tmp_path, compress, length, changes):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    content = bytearray(_save(tmp_path / "good.mat", compress, img=pixels).read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    (tmp_path / "bad.mat").write_bytes(content[:length] if length % 3 else content)
    with contextlib.suppress(ImageError):  # some changes do no harm
        assert read_image(tmp_path / "bad.mat").dtype == np.uint8
