from __future__ import annotations

import contextlib
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from primaps.data.labels import read_labels
from primaps.data.matlab import array_shape, is_matlab, read_array
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
    assert (
        read_labels(_save(tmp_path / "negative.mat", gt=np.full((2, 2), -1, np.int32))).tolist()
        == [[-1, -1]] * 2
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"image": np.zeros((2, 2, 3), np.uint8)},
            r"variable 'img' of class uint8 in .*x\.mat, but it has image \(uint8\)\.",
        ),
        ({}, "but it has no variable"),
        ({"img": np.zeros((2, 2, 3))}, r"img \(double\)"),
        ({"img": "text"}, r"img \(char\)"),
        ({"img": {"a": 1}}, r"img \(struct\)"),
        ({"img": np.array([np.zeros(2), "x"], dtype=object)}, r"img \(cell\)"),
        (
            {"img": np.zeros((2, 2), np.uint8)},
            r"the shape \(height, width, 3 or more\), but got \(2, 2\)",
        ),
        ({"img": np.zeros((0, 2, 3), np.uint8)}, "the shape"),
    ],
)
def test_other_variables_are_refused_by_name_and_kind(tmp_path, variables, message):
    with pytest.raises(ImageError, match=message):
        read_image(_save(tmp_path / "x.mat", **variables))


def test_labels_of_other_kinds(tmp_path):
    with pytest.raises(ImageError, match=r"'gt' of class uint8 or .*gt \(double\)"):
        read_labels(_save(tmp_path / "x.mat", gt=np.zeros((2, 2))))
    with pytest.raises(
        PrimapsError, match=r"'gt' in .* the shape \(height, width\), but got \(2, 2, 2\)"
    ):
        read_labels(_save(tmp_path / "x.mat", gt=np.zeros((2, 2, 2), np.int32)))


def test_other_versions(tmp_path):
    (tmp_path / "x.mat").write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(600))
    with pytest.raises(
        ImageError, match=r"Expected a MAT file of version 5, but .*x\.mat is of another version"
    ):
        read_image(tmp_path / "x.mat")
    assert count_pixels(tmp_path / "x.mat") == 0


def test_a_huge_array_is_refused_before_it_is_read(tmp_path, pixels, monkeypatch):
    path = _save(tmp_path / "x.mat", img=pixels)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 299)
    monkeypatch.setattr(np, "frombuffer", _count_bytes(read := [], np.frombuffer))
    with pytest.raises(ImageError, match=r"shape \(20, 30, 4\) exceeds the limit of 598 pixels"):
        read_image(path)
    assert sum(read) < 200


def _count_bytes(counts, frombuffer):
    def counted(data, *arguments):
        counts.append(len(data))
        return frombuffer(data, *arguments)

    return counted


def test_signature(tmp_path, pixels):
    path = _save(tmp_path / "x.mat", img=pixels)
    with path.open("rb") as stream:
        assert is_matlab(stream)
        assert stream.tell() == 0
    with (tmp_path / "y").open("wb+") as file:
        file.write(b"MATL")
    with (tmp_path / "y").open("rb") as stream:
        assert not is_matlab(stream)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["uint8", "int8", "uint16", "int16", "uint32", "int32"]),
    st.lists(st.integers(0, 5), min_size=2, max_size=4),
    st.booleans(),
    st.sampled_from(["gt", "a" * 31]),
)
def test_arrays_come_back_as_they_were_saved(tmp_path, dtype, shape, compress, key):
    count = int(np.prod(shape))
    values = np.random.default_rng(count).integers(0, 2**7, count).astype(dtype).reshape(shape)
    path = _save(tmp_path / "x.mat", compress, before=np.eye(2), **{key: values}, after="text")
    with path.open("rb") as stream:
        array = read_array(stream, key, (dtype,), "x.mat")
    np.testing.assert_array_equal(array, values, strict=True)
    np.testing.assert_array_equal(array, scipy.io.loadmat(path)[key], strict=True)
    with path.open("rb") as stream:
        assert array_shape(stream, key, (dtype,), "x.mat") == values.shape


def _written_by_matlab(order, *, compress=False, logical=False, values_type=2, code=14):
    """An int32 matrix [[1, 2, 3], [4, 5, 6]] as MATLAB stores it: by columns, in the smallest type
    that holds the values.
    """

    def part(kind, data):
        return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)

    flags = struct.pack(f"{order}II", 12 | (0x200 if logical else 0), 0)
    name = struct.pack(f"{order}I", 2 << 16 | 1) + b"gt\0\0"  # lies in its own tag
    if order == ">":
        name = struct.pack(">HH", 2, 1) + b"gt\0\0"
    parts = (
        part(6, flags)
        + part(5, struct.pack(f"{order}ii", 2, 3))
        + name
        + part(values_type, bytes([1, 4, 2, 5, 3, 6]))
    )
    matrix = part(code, parts)
    if compress:
        packed = zlib.compress(matrix)
        matrix = struct.pack(f"{order}II", 15, len(packed)) + packed
    mark = b"IM" if order == "<" else b"MI"
    return (
        b"MATLAB 5.0 MAT-file, by hand".ljust(124)
        + struct.pack(f"{order}H", 0x0100)
        + mark
        + matrix
    )


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compress", [False, True])
def test_files_of_matlab_itself(tmp_path, order, compress):
    (tmp_path / "x.mat").write_bytes(_written_by_matlab(order, compress=compress))
    assert read_labels(tmp_path / "x.mat").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert scipy.io.loadmat(tmp_path / "x.mat")["gt"].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"logical": True}, r"it has gt \(logical\)"),
        ({"values_type": 6}, "the values of 'gt' do not fit its description"),
        ({"values_type": 99}, "the values of 'gt' do not fit its description"),
        ({"code": 1}, "no variable of"),
        ({"code": 1, "compress": True}, "a packed part is no variable"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, options, message):
    (tmp_path / "x.mat").write_bytes(_written_by_matlab("<", **options))
    with pytest.raises(ImageError, match=message):
        read_labels(tmp_path / "x.mat")


def test_no_byte_order(tmp_path):
    (tmp_path / "x.mat").write_bytes(_written_by_matlab("<").replace(b"IM", b"XX"))
    with pytest.raises(
        ImageError, match=r"x\.mat is damaged or truncated \(its byte order is not stated\)"
    ):
        read_labels(tmp_path / "x.mat")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.booleans(),
    st.integers(8, 2600),
    st.lists(st.tuples(st.integers(8, 2600), st.integers(0, 255)), max_size=3),
)
def test_damaged_files_raise_nothing_but_image_errors(tmp_path, compress, length, changes):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    content = bytearray(_save(tmp_path / "good.mat", compress, img=pixels).read_bytes())
    for position, value in changes:
        content[position % len(content)] = value
    (tmp_path / "bad.mat").write_bytes(content[:length] if length % 3 else content)
    with contextlib.suppress(ImageError):  # some changes do no harm
        assert read_image(tmp_path / "bad.mat").dtype == np.uint8
