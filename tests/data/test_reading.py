from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from primaps.data.decoded import reduced_size
from primaps.data.reading import read_image, read_photo
from primaps.errors import ConfigError, ImageError

UNDO = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}
"""Orientation -> how the stored array comes from the upright one (inverse of what the reader must
do).
"""


def test_every_odd_image_is_read(odd_images):
    for kind, path in odd_images.items():
        image = read_image(path)
        assert image.dtype == np.uint8
        assert image.shape == ((1, 1, 3) if kind == "one_pixel" else (24, 36, 3)), kind
        assert image.flags.c_contiguous
        assert image.flags.writeable
        torch.from_numpy(image)  # warns, and so fails here, if the array is not writable


def test_values_of_odd_images(odd_images, gradient):
    assert np.array_equal(read_image(odd_images["non_ascii"]), gradient)
    assert read_image(odd_images["black"]).max() == 0
    grey = read_image(odd_images["grey"])
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert np.array_equal(read_image(odd_images["sixteen_bit"])[..., 2], gradient[..., 0])
    alpha = gradient[..., 1:2] / 255.0
    assert (
        np.abs(read_image(odd_images["rgba"]) - (gradient * alpha + 255 * (1 - alpha))).max() <= 1.5
    )
    assert np.abs(read_image(odd_images["palette"]).astype(int) - gradient).mean() < 8
    for kind in ("cmyk", "rotated"):
        assert np.abs(read_image(odd_images[kind]).astype(int) - gradient).mean() < 6, kind


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, gradient, orientation, suffix):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x.{suffix}"
    options = {
        "png": {},
        "tif": {},
        "jpg": {"quality": 98, "subsampling": 0},
        "webp": {"lossless": True},
    }[suffix]
    PIL.Image.fromarray(np.ascontiguousarray(UNDO[orientation](gradient))).save(
        path, exif=exif, **options
    )
    photo = read_photo(path, max_pixels=10**6)
    assert (photo.height, photo.width) == (24, 36)
    assert photo.image.shape == (24, 36, 3)
    tolerance = 12 if suffix == "jpg" else 0
    assert np.abs(photo.image.astype(int) - gradient).max() <= tolerance
    reduced = read_photo(path, max_pixels=216)
    assert (reduced.height, reduced.width, reduced.image.shape) == (24, 36, (12, 18, 3))
    assert (
        np.abs(
            reduced.image.astype(float) - gradient.reshape(12, 2, 18, 2, 3).mean(axis=(1, 3))
        ).mean()
        < 4
    )


def test_orientation_value_that_does_not_exist(tmp_path, gradient):
    exif = PIL.Image.Exif()
    exif[0x0112] = 77
    PIL.Image.fromarray(gradient).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "x.png"), gradient)


@pytest.mark.parametrize(
    ("suffix", "exif"),
    [
        # an entry longer than the block
        ("jpg", b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\xff\xff\0\0"),
        ("png", b"Exif\0\0not a header"),
    ],
)
def test_damaged_exif_is_logged_and_the_image_read(tmp_path, gradient, caplog, suffix, exif):
    plain, damaged = tmp_path / f"plain.{suffix}", tmp_path / f"damaged.{suffix}"
    PIL.Image.fromarray(gradient).save(plain)
    PIL.Image.fromarray(gradient).save(damaged, exif=exif)
    assert np.array_equal(read_image(damaged), read_image(plain))
    assert caplog.messages
    assert all(message.startswith(str(damaged)) for message in caplog.messages)


def _save(path, array, **options):
    PIL.Image.fromarray(array).save(path, **options)
    return read_image(path)[..., 0]


def test_sixteen_bit_grey_is_linear_over_the_full_range(tmp_path):
    values = np.array([[0, 128, 129, 257, 4095, 32768, 65535]], dtype=np.uint16)
    expected = np.rint(values / 257).astype(np.uint8)
    assert np.array_equal(_save(tmp_path / "x.png", values), expected)
    assert np.array_equal(_save(tmp_path / "x.tif", values), expected)
    PIL.Image.fromarray(values.astype(">u2")).save(tmp_path / "big_endian.tif")
    assert np.array_equal(read_image(tmp_path / "big_endian.tif")[..., 0], expected)


def test_sixteen_bit_colour(tmp_path, gradient):
    import struct
    import zlib

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.tobytes() for row in (gradient.astype(">u2") * 257).astype(">u2"))
    header = struct.pack(">IIBBBBB", 36, 24, 16, 2, 0, 0, 0)
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    (tmp_path / "x.png").write_bytes(content)
    assert np.array_equal(read_image(tmp_path / "x.png"), gradient)


def test_thirty_two_bit_integers(tmp_path):
    assert _save(tmp_path / "a.tif", np.array([[0, 65535]], dtype=np.int32)).tolist() == [[0, 255]]
    assert _save(tmp_path / "b.tif", np.array([[-100, 0, 155]], dtype=np.int32)).tolist() == [
        [0, 100, 255]
    ]
    assert _save(tmp_path / "c.tif", np.array([[0, 10**9]], dtype=np.int32)).tolist() == [[0, 255]]


def test_float_images(tmp_path):
    assert _save(tmp_path / "unit.tif", np.array([[0.0, 0.2, 1.0]], dtype=np.float32)).tolist() == [
        [0, 51, 255]
    ]
    assert _save(tmp_path / "dim.tif", np.array([[0.0, 0.2]], dtype=np.float32)).tolist() == [
        [0, 255]
    ]
    assert _save(tmp_path / "own.tif", np.array([[-2.0, 0.0, 2.0]], dtype=np.float32)).tolist() == [
        [0, 128, 255]
    ]
    assert _save(tmp_path / "constant.tif", np.full((1, 2), 7.0, dtype=np.float32)).tolist() == [
        [0, 0]
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("position", [0, 5])
def test_values_that_are_not_finite_are_no_data(tmp_path, value, position):
    array = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    array.flat[position] = value
    PIL.Image.fromarray(array).save(tmp_path / "x.tif")
    photo = read_photo(tmp_path / "x.tif", 100)
    assert np.flatnonzero(photo.ignored).tolist() == [position]
    rest = np.delete(np.rint(np.linspace(0, 1, 64) * 255), position)
    assert np.array_equal(np.delete(photo.image[..., 0].reshape(-1), position), rest)
    assert "1.6% of the pixels hold no data" in photo.notes[-1].text


def test_images_without_any_value(tmp_path):
    PIL.Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=r"pixels with data, but .*x\.tif holds none"):
        read_image(tmp_path / "x.tif")


def test_one_bit(tmp_path, gradient):
    bits = gradient[..., 0] > 100
    PIL.Image.fromarray(bits).save(tmp_path / "x.png")
    assert np.array_equal(read_image(tmp_path / "x.png")[..., 1], bits * np.uint8(255))


def test_transparency_is_over_white(tmp_path):
    grey = PIL.Image.new("LA", (2, 1), (100, 0))
    grey.putpixel((1, 0), (100, 255))
    grey.save(tmp_path / "la.png")
    palette = PIL.Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "index.png", transparency=0)
    palette.save(tmp_path / "bytes.png", transparency=b"\x00\xff")
    palette.save(tmp_path / "x.gif", transparency=0)
    key = PIL.Image.new("RGB", (2, 1), (1, 2, 3))
    key.putpixel((1, 0), (40, 50, 60))
    key.save(tmp_path / "key.png", transparency=(1, 2, 3))
    assert read_image(tmp_path / "la.png").tolist() == [[[255] * 3, [100] * 3]]
    for name in ("index.png", "bytes.png", "x.gif", "key.png"):
        assert read_image(tmp_path / name).tolist() == [[[255] * 3, [40, 50, 60]]], name


def test_reduction_weighs_colours_by_their_opacity(tmp_path):
    rgba = np.zeros((2, 2, 4), dtype=np.uint8)
    rgba[0] = (200, 0, 0, 255)  # the lower half is transparent black
    assert _save(tmp_path / "x.png", rgba).shape == (2, 2)
    assert (
        np.abs(
            read_image(tmp_path / "x.png", max_pixels=1)[0, 0].astype(int) - (227, 127, 127)
        ).max()
        <= 2
    )


def test_cmyk_with_and_without_adobe_inversion(tmp_path):
    cmyk = PIL.Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    # Pillow writes the Adobe marker and inverted values
    cmyk.save(tmp_path / "adobe.jpg", quality=100)
    cmyk.save(tmp_path / "plain.tif")
    content = (tmp_path / "adobe.jpg").read_bytes()
    assert b"Adobe" in content
    for name in ("adobe.jpg", "plain.tif"):
        assert np.abs(read_image(tmp_path / name)[4, 4].astype(int) - (255, 0, 0)).max() <= 3, name


def test_ycbcr_and_lab(tmp_path, gradient):
    PIL.Image.fromarray(gradient).convert("YCbCr").save(tmp_path / "ycbcr.tif")
    assert np.abs(read_image(tmp_path / "ycbcr.tif").astype(int) - gradient).max() <= 4
    # CIE Lab of sRGB red: (53.2, 80.1, 67.2); grey 128: (53.6, 0, 0); Pillow stores L * 2.55 and a,
    # b + 128 in memory
    channels = [
        PIL.Image.frombytes("L", (2, 1), bytes(values))
        for values in ((136, 137), (208, 128), (195, 128))
    ]
    PIL.Image.merge("LAB", channels).save(tmp_path / "lab.tif")
    with PIL.Image.open(tmp_path / "lab.tif") as stored:
        assert stored.mode == "LAB"
    image = read_image(tmp_path / "lab.tif")[0].astype(int)
    assert np.abs(image[0] - (255, 0, 0)).max() <= 12
    assert np.abs(image[1] - 128).max() <= 3


def test_first_of_several_frames(tmp_path):
    frames = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for suffix in ("gif", "tif", "png", "webp"):
        path = tmp_path / f"x.{suffix}"
        frames[0].save(
            path,
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if suffix == "webp" else {}),
        )
        assert read_image(path)[0, 0].tolist() == [255, 0, 0], suffix


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("empty_jpg", r"is empty \(0 bytes\). Copy it again"),
        ("text_jpg", r"none of these \(it starts with b'These are my hol'\). Convert it"),
        ("truncated_jpg", r"damaged or truncated \(image file is truncated.*Copy it again"),
        ("truncated_png", r"damaged or truncated \(image file is truncated.*Copy it again"),
        ("huge_header_png", r"at most 179 megapixels, but .* has 4\d+ .*--max-megapixels"),
        ("bomb_png", r"at most 179 megapixels, but .* 256 \(16000 x 16000\). Make it smaller"),
        ("broken_link_jpg", r"is a link to .*not_there\.jpg, which does not exist"),
        ("folder_jpg", "is a folder. Give the files in it"),
    ],
)
def test_bad_images_say_what_is_wrong_and_what_to_do(bad_images, kind, text):
    for read in (read_image, lambda path: read_photo(path, 1000)):
        with pytest.raises(ImageError, match=text) as caught:
            read(bad_images[kind])
        assert str(bad_images[kind]) in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(
        ImageError,
        match=r"Expected an image file at .*nowhere\.jpg, but there is none. Check the path.",
    ):
        read_image(tmp_path / "nowhere.jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp", "gif", "ppm", "jp2"])
def test_every_truncation_is_an_image_error_or_the_image(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    PIL.Image.fromarray(
        np.random.default_rng(1).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    ).save(path)
    content, whole = path.read_bytes(), read_image(path)
    failed = 0
    for length in np.linspace(1, len(content) - 1, 25).astype(int):
        path.write_bytes(content[:length])
        try:
            assert read_image(path).shape == whole.shape
        except ImageError:
            failed += 1
    assert failed >= 15


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_damaged_bytes_give_an_image_error_or_an_image(tmp_path_factory, position, change):
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    PIL.Image.new("P", (9, 7), 3).save(path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= change
    path.write_bytes(content)
    with contextlib.suppress(ImageError):
        assert read_image(path).shape == (7, 9, 3)


@pytest.mark.parametrize("max_pixels", [0, -5])
def test_max_pixels_out_of_range(odd_images, max_pixels):
    with pytest.raises(
        ConfigError, match=f"Expected max_pixels to be 1 or more, but got {max_pixels}"
    ):
        read_image(odd_images["grey"], max_pixels)
    with pytest.raises(ConfigError, match="Expected max_pixels"):
        read_photo(odd_images["grey"], max_pixels)


def test_photo_has_own_size_and_checksum(odd_images):
    path = odd_images["rotated"]
    photo = read_photo(path, max_pixels=200)
    assert (photo.height, photo.width) == (24, 36)
    assert photo.image.shape[0] * photo.image.shape[1] <= 200
    assert photo.image.shape[:2] == (11, 17)
    assert photo.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.array_equal(photo.image, read_image(path, max_pixels=200))


def test_small_images_are_not_enlarged(odd_images):
    assert np.array_equal(
        read_photo(odd_images["grey"], 24 * 36).image, read_image(odd_images["grey"])
    )
    assert read_photo(odd_images["one_pixel"], 10**6).image.shape == (1, 1, 3)


@settings(deadline=None)
@given(st.integers(1, 20000), st.integers(1, 20000), st.integers(1, 2 * 10**6))
def test_reduced_size_is_bounded_and_keeps_the_aspect(width, height, max_pixels):
    reduced = reduced_size((width, height), max_pixels)
    assert 1 <= reduced[0] <= width
    assert 1 <= reduced[1] <= height
    assert reduced[0] * reduced[1] <= max_pixels
    if width * height <= max_pixels:
        assert reduced == (width, height)
    elif min(reduced) > 1:
        scale = (max_pixels / (width * height)) ** 0.5
        assert abs(reduced[0] - width * scale) <= 1
        assert abs(reduced[1] - height * scale) <= 1


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16", "F"])
def test_reduction_averages_areas(tmp_path, mode):
    array = (
        np.random.default_rng(0)
        .integers(0, 256, (12, 16, 3), dtype=np.uint8)
        .repeat(8, axis=0)
        .repeat(8, axis=1)
    )
    image = PIL.Image.fromarray(array)
    if mode == "I;16":
        image = PIL.Image.fromarray(array[..., 0].astype(np.uint16) * 257)
    elif mode == "F":
        image = PIL.Image.fromarray(array[..., 0].astype(np.float32) / 255)
    else:
        image = image.convert(mode)
    path = tmp_path / ("x.tif" if mode == "F" else "x.png")
    image.save(path)
    full = read_image(path).astype(float)
    reduced = read_image(path, max_pixels=full[..., 0].size // 16)
    blocks = full.reshape(24, 4, 32, 4, 3).mean(axis=(1, 3))
    assert reduced.shape == blocks.shape
    # A bilinear (triangle) filter reaches into the neighbouring block: means agree, single values
    # nearly.
    assert abs(reduced.mean() - blocks.mean()) < 1
    assert np.corrcoef(reduced.ravel(), blocks.ravel())[0, 1] > 0.97


def test_draft_decoding_of_jpeg_equals_full_decoding_then_averaging(tmp_path):
    rng = np.random.default_rng(0)
    coarse = PIL.Image.fromarray(rng.integers(0, 256, (13, 17, 3), dtype=np.uint8)).resize(
        (1003, 757), PIL.Image.Resampling.BICUBIC
    )
    coarse.save(tmp_path / "x.jpg", quality=92)
    full = PIL.Image.fromarray(read_image(tmp_path / "x.jpg"))
    for max_pixels in (150_000, 40_000, 9_000):
        reduced = read_image(tmp_path / "x.jpg", max_pixels)
        plain = np.asarray(full.resize(reduced.shape[1::-1], PIL.Image.Resampling.BILINEAR))
        assert np.abs(reduced.astype(int) - plain).mean() < 1.5, max_pixels


def test_threads_read_the_same_as_one_thread(odd_images):
    paths = list(odd_images.values()) * 4
    alone = [read_image(path, 300) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: read_image(path, 300), paths))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# The peak of the process itself: that of getrusage would begin with the size of the process that
# forked it.
_MEASURE = """
import sys, warnings
warnings.simplefilter("error")
from primaps.data.reading import read_photo
def kilobytes(field):
    with open("/proc/self/status") as stream:
        return int(next(line for line in stream if line.startswith(field)).split()[1])
before = kilobytes("VmRSS")
photo = read_photo(sys.argv[1], 1_000_000)
print(photo.height, photo.width, *photo.image.shape, (kilobytes("VmHWM") - before) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="measures memory through /proc")
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif"])
def test_108_megapixels_are_read_without_a_warning_in_bounded_memory(tmp_path, name):
    image = PIL.Image.new("RGB", (12000, 9000), (10, 200, 30))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    options = {"x.png": {"compress_level": 1}, "x.tif": {"compression": "packbits"}}.get(name, {})
    image.save(tmp_path / name, exif=exif, **options)
    del image
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    *sizes, growth = (int(value) for value in done.stdout.split())
    assert sizes == [12000, 9000, 1154, 866, 3]
    assert done.stderr == ""
    assert growth < 1.2e9


def test_large_images_are_read_without_a_warning(tmp_path):
    PIL.Image.new("1", (12000, 9000), 1).save(tmp_path / "x.png", compress_level=1)
    photo = read_photo(tmp_path / "x.png", 10_000)
    assert (photo.height, photo.width, photo.image.min()) == (9000, 12000, 255)


def test_a_home_folder(odd_images, monkeypatch):
    path = odd_images["black"]
    monkeypatch.setenv("HOME", str(path.parent))
    assert np.array_equal(read_image(f"~/{path.name}"), read_image(path))
