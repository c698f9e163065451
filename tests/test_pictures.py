"""What is taken as an image, and what is refused: always by an error of ours."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

import primaps as pm
from primaps.errors import ImageError, PrimapsError
from primaps.pictures import as_image


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


def test_every_form_of_one_picture_is_the_same(picture, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    channels_first = torch.from_numpy(picture.copy()).permute(2, 0, 1)
    for form in (
        picture,
        path,
        str(path),
        Image.open(path),
        picture / 255,
        (picture / 255).astype(np.float16),
        picture.astype(">f4") / 255,
        channels_first,
        channels_first.double() / 255,
        torch.from_numpy(picture.copy()),
        picture[::-1][::-1],
    ):
        np.testing.assert_array_equal(as_image(form), picture)
    assert as_image(picture) is picture


def test_grey_has_three_equal_channels(picture):
    grey = picture[..., 0]
    expected = np.stack([grey] * 3, axis=-1)
    for form in (
        grey,
        grey[..., None],
        grey / 255,
        torch.from_numpy(grey.copy()),
        torch.from_numpy(grey.copy())[None],
        Image.fromarray(grey),
    ):
        np.testing.assert_array_equal(as_image(form), expected)


def test_of_a_tensor_the_channels_come_first_where_both_ends_have_three():
    tensor = torch.arange(27, dtype=torch.uint8).reshape(3, 3, 3)
    np.testing.assert_array_equal(as_image(tensor), tensor.permute(1, 2, 0).numpy())
    np.testing.assert_array_equal(as_image(tensor.numpy()), tensor.numpy())


def test_pillow_images_are_as_their_files(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    rgba = np.dstack([picture, picture[..., 0]])
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    Image.fromarray(picture).quantize(8).save(tmp_path / "palette.png")
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "cmyk.tif")
    Image.fromarray(picture).convert("LA").save(tmp_path / "la.png")
    Image.fromarray(picture[..., 0] > 99).save(tmp_path / "one.png")
    for path in sorted(tmp_path.iterdir()):
        with Image.open(path) as image:
            np.testing.assert_array_equal(as_image(image), pm.read_image(path), str(path))


class Lazy:
    """As arrays of other libraries."""

    def __array__(self, dtype=None, copy=None):
        raise AssertionError


def test_pillow_images_are_converted_from_their_profiles(picture, tmp_path, odd_files):
    adobe = odd_files.rgb_profile(odd_files.ADOBE_RGB, gamma=2.19921875)
    profiles = {"RGB": adobe, "RGBA": adobe, "P": adobe, "L": odd_files.grey_profile(1.0)}
    profiles |= {"LA": odd_files.grey_profile(1.0), "CMYK": odd_files.cmyk_profile()}
    for mode, profile in profiles.items():
        path = tmp_path / f"{mode}.tif"
        Image.fromarray(picture).convert(mode).save(path, icc_profile=profile)
        with Image.open(path) as image:
            found = as_image(image)
        np.testing.assert_array_equal(found, pm.read_image(path), mode)
        plain = as_image(Image.fromarray(picture).convert(mode))
        assert np.abs(found.astype(int) - plain).max() > 5, mode


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4, 5), np.uint8), r"got \(3, 4, 5\).* image.transpose\(1, 2, 0\)"),
        (np.zeros((4, 4, 4), np.uint8), r"image\[\.\.\., :3\]"),
        (np.zeros((5, 4, 5), np.uint8), r"three of its channels"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"one by one"),
        (np.zeros((0, 4, 3), np.uint8), "no pixel"),
        (np.zeros(5, np.uint8), r"got \(5,\)"),
        (np.full((4, 4, 3), 200.0), r"\[0, 1\], but got 200..200. Divide"),
        (np.full((4, 4, 3), np.nan), "some are NaN or infinite"),
        (np.zeros((4, 4, 3), np.int64), "got int64"),
        (np.zeros((4, 4), bool), r"got bool\..*image\.astype\(numpy\.uint8\) \* 255"),
        (np.where(np.eye(4) > 0, np.inf, 0.5), "some are NaN or infinite"),
        (np.ma.masked_array(np.ones((4, 4)), np.eye(4)), r"4 values are masked.*filled\(0\)"),
        (np.zeros((4, 4, 3), object), "got object"),
        (torch.zeros(2, 4, 4), r"\(3, H, W\), channels first, or \(H, W\), but got \(2, 4, 4\)"),
        (torch.zeros(2, 3, 4, 4), "one by one"),
        (torch.zeros(3, 4, 4, dtype=torch.int16), r"got int16.*image\.to\(torch\.uint8\)"),
        (torch.zeros(4, 5, 6), r"Leave out transparency: image\[:3\]"),
        (torch.zeros(5, 6, 4), r"Leave out transparency: image\[\.\.\., :3\]"),
        (torch.zeros(3, 4, 4, device="meta"), "with values and one shape"),
        (torch.zeros(3, 4, 4) - 2, "got -2..-2"),
        ([[1, 2, 3]], r"but got list\..* numpy\.array"),
        (b"GIF89a", r"but got bytes\..* PIL\.Image\.open\(io\.BytesIO\(data\)\)"),
        (Lazy(), r"numpy\.asarray\(image\)"),
        ("https://example.org/a.jpg", "address https://example.org/a.jpg. Nothing is fetched"),
        (None, "but got NoneType"),
        (io.BytesIO(), r"but got _io\.BytesIO\..* PIL\.Image\.open\(file\)"),
        (Image.new("I", (3, 3)), "mode I.* path of its file"),
        (Image.new("RGB", (0, 3)), "with pixels"),
        (Path("nothing.png"), "nothing.png"),
        ("", "Expected"),
    ],
)
def test_others_are_refused_with_what_to_do(image, message):
    with pytest.raises(ImageError, match=message):
        as_image(image)


shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 7]), max_size=4).map(tuple)
dtypes = st.sampled_from(
    ["u1", "i1", "u2", ">i2", "i8", "f2", "f4", ">f8", "g", "c8", "?", "M8[s]", "S2", "U1", "O"]
)


@st.composite
def any_array(draw):
    dtype, shape = np.dtype(draw(dtypes)), draw(shapes)
    if dtype.kind == "O":
        return np.full(shape, draw(st.sampled_from([None, 1, "x"])), dtype=object)
    array = draw(arrays.arrays(dtype, shape))
    if draw(st.booleans()) and array.ndim:
        array = array[::-1]
    return array


@given(array=any_array(), tensor=st.booleans())
def test_any_array_works_or_raises_our_error(array, tensor):
    if tensor:
        try:
            array = torch.from_numpy(np.ascontiguousarray(array))
        except (TypeError, ValueError):
            return
    try:
        image = as_image(array)
    except ImageError:
        return
    assert image.dtype == np.uint8
    assert image.ndim == 3
    assert image.shape[2] == 3
    assert image.size


SCENE = np.random.default_rng(1).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@settings(deadline=None)
@given(array=any_array())
def test_any_features_and_scores_work_or_raise_our_error(array):
    for call in (pm.mask_proposals, pm.dense_crf):
        options = {"threshold": 0.5} if call is pm.mask_proposals else {"iterations": 1}
        try:
            call(SCENE, array, **options)
        except PrimapsError:
            continue
    with contextlib.suppress(PrimapsError):
        pm.overlay(SCENE, array)
    with contextlib.suppress(PrimapsError):
        pm.calibrate_threshold([array])


def test_channels_last_are_told_by_the_transpose():
    features = np.random.default_rng(0).normal(size=(10, 15, 6)).astype(np.float32)
    with pytest.raises(PrimapsError, match=r"features\.transpose\(2, 0, 1\).*\(6, 10, 15\)"):
        pm.mask_proposals(SCENE, features, threshold=0.5)
    with pytest.raises(PrimapsError, match=r"scores\.transpose\(2, 0, 1\)"):
        pm.dense_crf(SCENE, features)
    pm.mask_proposals(SCENE, features.transpose(2, 0, 1), threshold=0.5)


def test_kinds_of_arrays_that_compute_otherwise_are_taken_as_plain_ones():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for kind in (np.ma.masked_array(array, np.zeros((3, 4))), array.view(np.recarray)):
        assert type(as_image(kind)) is np.ndarray
        np.testing.assert_array_equal(as_image(kind), as_image(array))
