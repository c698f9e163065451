"""Label maps and mask proposals as PNG files."""

import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from primaps.errors import ImageError, OutputError
from primaps.outputs.label_files import (
    read_label_image,
    read_png_info,
    read_png_size,
    write_certainty,
    write_label_map,
    write_proposals,
)
from primaps.outputs.visualize import palette

INFO = {"model": "sha256:0123", "image": "Straße 日本.jpg", "empty": ""}


@pytest.fixture
def label_map() -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 255, (37, 53))
    values[0, 0] = 255
    return values


shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


@settings(max_examples=25, deadline=None)
@given(labels=hnp.arrays(np.int64, shapes, elements=st.integers(0, 255)))
def test_label_map_round_trip(labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "a.jpg.png"
    write_label_map(path, labels, INFO)
    back = read_label_image(path)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, labels)
    assert read_png_info(path) == INFO


@settings(max_examples=25, deadline=None)
@given(labels=hnp.arrays(np.int32, shapes, elements=st.integers(0, 65535)))
def test_proposals_round_trip(labels, tmp_path_factory):
    path = tmp_path_factory.mktemp("proposals") / "a.jpg.png"
    write_proposals(path, labels, INFO)
    np.testing.assert_array_equal(read_label_image(path), labels)
    assert read_png_info(path) == INFO


def test_label_map_is_an_indexed_png_for_every_reader(tmp_path, label_map):
    write_label_map(tmp_path / "a.png", label_map, {})
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "P", (53, 37))
        np.testing.assert_array_equal(np.asarray(picture), label_map)
        colours = np.array(picture.convert("RGB"))
    assert (colours[0, 0] == 0).all()
    np.testing.assert_array_equal(colours[1, 1], palette(255)[label_map[1, 1]])
    assert (tmp_path / "a.png").read_bytes()[24] == 8  # bits per pixel


def test_two_classes_still_take_eight_bits(tmp_path):
    write_label_map(tmp_path / "a.png", np.eye(9, dtype=np.int64), {})
    assert (tmp_path / "a.png").read_bytes()[24:26] == b"\x08\x03"


def test_proposals_are_a_sixteen_bit_grey_png(tmp_path):
    write_proposals(tmp_path / "a.png", np.array([[0, 1, 65535]], dtype=np.int32), {})
    assert (tmp_path / "a.png").read_bytes()[24:26] == b"\x10\x00"
    with Image.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture).tolist() == [[0, 1, 65535]]


@pytest.mark.parametrize("write", [write_label_map, write_proposals])
def test_equal_input_gives_equal_bytes(tmp_path, label_map, write):
    write(tmp_path / "a.png", label_map, INFO)
    write(
        tmp_path / "deep" / "er" / "b.png",
        np.asfortranarray(label_map.astype(np.uint8)),
        dict(INFO),
    )
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in tmp_path.rglob("*.png")}
    assert len(digests) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".png"]


@pytest.mark.parametrize("bad", [256, -1])
def test_label_map_ids_must_fit(tmp_path, bad):
    with pytest.raises(OutputError, match=r"between 0 and 255, but got .*class ids 0..254"):
        write_label_map(tmp_path / "a.png", np.array([[0, bad]]), {})
    assert not list(tmp_path.iterdir())


def test_too_many_proposals(tmp_path):
    with pytest.raises(OutputError, match=r"between 0 and 65535, but got 0..65536. .*max_masks"):
        write_proposals(tmp_path / "a.png", np.array([[0, 65536]]), {})


@pytest.mark.parametrize(
    "labels",
    [np.zeros((2, 2)), np.zeros((2, 2, 3), int), np.zeros((0, 4), int), np.zeros((2, 2), bool)],
)
def test_only_whole_numbers_in_two_dimensions(tmp_path, labels):
    with pytest.raises(OutputError, match=r"\(H, W\) whole numbers"):
        write_label_map(tmp_path / "a.png", labels, {})


@pytest.mark.parametrize(
    "info", [{"größe": "x"}, {"": "x"}, {"k" * 80: "x"}, {" a": "x"}, {"a": "\udcff"}]
)
def test_info_that_a_png_cannot_hold(tmp_path, label_map, info):
    with pytest.raises(OutputError, match=r"Expected (keys of )?info"):
        write_label_map(tmp_path / "a.png", label_map, info)


def test_info_of_missing_and_foreign_files(tmp_path):
    assert read_png_info(tmp_path / "none.png") == {}
    (tmp_path / "text.png").write_text("hello")
    assert read_png_info(tmp_path / "text.png") == {}
    assert read_png_info(tmp_path / "text.png" / "below.png") == {}
    (tmp_path / "empty.png").touch()
    assert read_png_info(tmp_path / "empty.png") == {}
    Image.new("L", (3, 3)).save(tmp_path / "plain.png")
    assert read_png_info(tmp_path / "plain.png") == {}


def test_info_of_a_folder_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="readable file"):
        read_png_info(tmp_path)


def test_a_file_cut_anywhere_counts_as_not_written(tmp_path, label_map):
    path = tmp_path / "a.png"
    write_label_map(path, label_map, INFO)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert read_png_info(path) == {}, size
    path.write_bytes(whole)
    assert read_png_info(path) == INFO


def test_a_damaged_header_counts_as_not_written(tmp_path, label_map):
    path = tmp_path / "a.png"
    write_label_map(path, label_map, INFO)
    damaged = path.read_bytes().replace(b"sha256:0123", b"sha256:0124")
    path.write_bytes(damaged)
    assert read_png_info(path) == {}


def test_other_readers_find_the_info(tmp_path, label_map):
    write_label_map(tmp_path / "a.png", label_map, INFO)
    with Image.open(tmp_path / "a.png") as picture:
        assert {key: str(value) for key, value in picture.text.items()} == INFO


def test_info_is_read_without_the_pixels(tmp_path, label_map):
    write_label_map(tmp_path / "a.png", label_map, INFO)
    content = bytearray((tmp_path / "a.png").read_bytes())
    start = content.index(b"IDAT") + 4
    content[start : start + 50] = bytes(50)
    (tmp_path / "a.png").write_bytes(content)
    assert read_png_info(tmp_path / "a.png") == INFO
    with pytest.raises(ImageError, match="cannot be read"):
        read_label_image(tmp_path / "a.png")


def test_reading_what_is_no_label_image(tmp_path):
    with pytest.raises(ImageError, match="cannot be read"):
        read_label_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ImageError, match="cannot be read"):
        read_label_image(tmp_path / "text.png")
    Image.new("RGB", (3, 3)).save(tmp_path / "rgb.png")
    with pytest.raises(ImageError, match="one channel of ids, but got colour mode RGB"):
        read_label_image(tmp_path / "rgb.png")


def test_writing_where_a_folder_is_needed(tmp_path, label_map):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_label_map(tmp_path / "file" / "a.png", label_map, {})


def test_large_maps_need_no_full_size_copies(tmp_path):
    large = np.zeros((3000, 4000), dtype=np.uint8)
    large[1000:, 1000:] = 7
    tracemalloc.start()
    write_label_map(tmp_path / "a.png", large, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.2 * large.nbytes


def test_maps_of_giant_photographs_are_read_without_bomb_alarm(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    write_label_map(tmp_path / "a.png", np.full((50, 50), 9), {})
    assert (read_label_image(tmp_path / "a.png") == 9).all()


@pytest.mark.parametrize(("write", "ids"), [(write_label_map, 256), (write_proposals, 65536)])
@pytest.mark.parametrize("size", [(37, 53), (12, 20), (74, 106), (1, 1)])
def test_sampled_at_another_size_each_pixel_has_the_id_at_its_centre(write, ids, size, tmp_path):
    labels = np.random.default_rng(0).integers(0, ids, (37, 53))
    write(tmp_path / "a.png", labels, {})
    rows, columns = (
        (2 * np.arange(new) + 1) * own // (2 * new)
        for own, new in zip(labels.shape, size, strict=True)
    )
    found = read_label_image(tmp_path / "a.png", size)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, labels[rows][:, columns])


def test_certainties_are_grey_levels(tmp_path):
    levels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    write_certainty(tmp_path / "c.png", levels, {"model": "m"})
    assert read_png_info(tmp_path / "c.png") == {"model": "m"}
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.mode == "L"
        np.testing.assert_array_equal(np.asarray(picture), levels)


def test_the_size_is_read_from_the_header(tmp_path):
    write_label_map(tmp_path / "a.png", np.zeros((3, 700), np.uint8), {})
    assert read_png_size(tmp_path / "a.png") == (700, 3)
    (tmp_path / "text.png").write_text("no picture, but long enough to be one")
    for name in ("text.png", "none.png", "text.png/below.png"):
        assert read_png_size(tmp_path / name) == (0, 0)
    (tmp_path / "short.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    assert read_png_size(tmp_path / "short.png") == (0, 0)
    with pytest.raises(OutputError, match="permissions"):
        read_png_size(tmp_path)


def test_a_bit_that_turned_among_the_pixels_is_found(label_map, tmp_path):
    path = tmp_path / "a.png"
    write_label_map(path, label_map, INFO)
    whole = path.read_bytes()
    assert read_png_info(path, whole=True) == INFO
    start = whole.index(b"IDAT")
    for place in (start + 30, len(whole) // 2, len(whole) - 20, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        path.write_bytes(damaged)
        assert read_png_info(path, whole=True) == {}
        with pytest.raises(ImageError, match=r"fit its checksums\. Delete it and run again"):
            read_label_image(path)
