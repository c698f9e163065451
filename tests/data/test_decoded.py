from __future__ import annotations

import struct
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from primaps.config import InputConfig
from primaps.data.decoded import frames, is_tiff
from primaps.data.decoding import decoding
from primaps.data.reading import count_pixels, read_image, read_photo
from primaps.errors import ImageError


def _frames(path):
    with decoding(path) as stream:
        return frames(stream, str(path))


@pytest.fixture
def animated(tmp_path):
    """Writes three frames, red, green and blue."""

    def written(suffix):
        pictures = [PIL.Image.new("RGB", (40, 30), each) for each in ("red", "lime", "blue")]
        options = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"x.{suffix}"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
        return path

    return written


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif", "avif"])
def test_frames(animated, suffix):
    path = animated(suffix)
    assert _frames(path) == 3
    photo = read_photo(path, 10**6)
    assert photo.notes[-1].text == "1 of 3 pages is used; --pages all uses every one."
    for number, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255)), start=1):
        found = read_photo(path, 10**6, page=number)
        assert np.abs(found.image[9, 9].astype(int) - colour).max() <= 4
        assert found.notes[-1].text == f"Page {number} of 3."


def test_pictures_behind_a_jpeg_are_no_pages(tmp_path, draw):
    pictures = [PIL.Image.fromarray(draw(seed)) for seed in range(2)]
    pictures[0].save(tmp_path / "x.mpo", save_all=True, append_images=pictures[1:])
    assert _frames(tmp_path / "x.mpo") == 1
    assert read_photo(tmp_path / "x.mpo", 10**6).notes == ()


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "webp", "tif", "ppm"])
def test_plain_pictures_have_no_notes(tmp_path, draw, suffix):
    PIL.Image.fromarray(draw(0)).save(tmp_path / f"x.{suffix}")
    photo = read_photo(tmp_path / f"x.{suffix}", 10**6)
    assert photo.notes == ()
    assert photo.ignored is None
    assert photo.values is None


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_neither_have_grey_ones_palettes_and_inks(tmp_path, draw, mode):
    PIL.Image.fromarray(draw(0)).convert(mode).save(tmp_path / "x.tif")
    assert read_photo(tmp_path / "x.tif", 10**6).notes == ()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_noted(tmp_path, draw, mode):
    image = PIL.Image.fromarray(draw(0)).convert(mode)
    if mode != "P":
        image.putalpha(100)
    shown = int(np.asarray(image)[0, 0]) if mode == "P" else None
    image.save(tmp_path / "x.png", **({"transparency": shown} if mode == "P" else {}))
    assert [note.kind for note in read_photo(tmp_path / "x.png", 10**6).notes] == ["alpha"]


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_opacity_that_hides_nothing_is_not_noted(tmp_path, draw, odd_files, suffix):
    PIL.Image.fromarray(draw(0)).convert("RGBA").save(tmp_path / f"x.{suffix}", lossless=True)
    photo = read_photo(tmp_path / f"x.{suffix}", 10**6)
    assert photo.notes == ()
    assert np.array_equal(photo.image, draw(0))
    deep = np.dstack([draw(0), np.full((60, 80), 255)]).astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(odd_files.png16(deep))
    assert [note.kind for note in read_photo(tmp_path / "deep.png", 10**6).notes] == ["range"]


def test_real_numbers_of_a_pfm(tmp_path, draw):
    grey = draw(0)[..., 0]
    content = (grey[::-1] / 255).astype("<f4").tobytes()
    (tmp_path / "x.pfm").write_bytes(b"Pf\n80 60\n-1.0\n" + content)
    photo = read_photo(tmp_path / "x.pfm", 10**6)
    assert photo.values == ("float", 0, 1)
    assert np.array_equal(photo.image[..., 0], grey)


@pytest.mark.parametrize(("gamma", "noted"), [(1.0, True), (0.55556, True), (0.45455, False)])
def test_another_gamma_is_noted(tmp_path, draw, gamma, noted):
    path = tmp_path / "x.png"
    chunk = b"gAMA" + struct.pack(">I", round(gamma * 100000))
    info = PIL.PngImagePlugin.PngInfo()
    info.add(chunk[:4], chunk[4:])
    PIL.Image.fromarray(draw(0)).save(path, pnginfo=info)
    photo = read_photo(path, 10**6)
    assert [note.kind for note in photo.notes] == ["profile"] * noted
    assert np.array_equal(photo.image, draw(0))
    info.add(b"sRGB", b"\0")
    PIL.Image.fromarray(draw(0)).save(path, pnginfo=info)
    assert read_photo(path, 10**6).notes == ()


def test_deep_netpbm(tmp_path, draw):
    grey = draw(0)[..., 0].astype(">u2")
    (tmp_path / "x.pgm").write_bytes(b"P5 80 60 65535\n" + (grey * 257).astype(">u2").tobytes())
    assert np.array_equal(read_image(tmp_path / "x.pgm")[..., 0], grey)
    (tmp_path / "x.pgm").write_bytes(b"P5 80 60 4095\n" + (grey * 16).astype(">u2").tobytes())
    assert np.abs(read_image(tmp_path / "x.pgm")[..., 0].astype(int) - grey).max() <= 1


def test_bands_of_other_formats(tmp_path, draw):
    PIL.Image.fromarray(draw(0)).save(tmp_path / "x.png")
    swapped = InputConfig(bands=(3, 2, 1))
    assert np.array_equal(read_image(tmp_path / "x.png", inputs=swapped), draw(0)[..., ::-1])
    PIL.Image.fromarray(draw(0)).convert("L").save(tmp_path / "grey.png")
    assert read_photo(tmp_path / "grey.png", 10**6, inputs=swapped).notes == ()
    with pytest.raises(ImageError, match=r"bands 4, 3, 2, but .* has 3"):
        read_image(tmp_path / "x.png", inputs=InputConfig(bands=(4, 3, 2)))


def test_the_limit_of_pixels_can_be_raised(tmp_path):
    PIL.Image.new("L", (2000, 1000)).save(tmp_path / "x.png")
    with pytest.raises(ImageError, match=r"at most 1 megapixels, but .* 2 \(2000 x 1000\)"):
        read_image(tmp_path / "x.png", inputs=InputConfig(megapixels=1))
    assert read_image(tmp_path / "x.png", inputs=InputConfig(megapixels=2)).shape[0] == 1000


def test_large_jpegs_are_read_at_a_fraction_of_their_size(tmp_path):
    path, limit = tmp_path / "x.jpg", InputConfig(megapixels=1)
    picture = np.zeros((1600, 2400, 3), np.uint8)
    picture[:800] = (200, 40, 40)
    for progressive in (False, True):
        PIL.Image.fromarray(picture).save(path, quality=90, progressive=progressive)
        photo = read_photo(path, 20_000, inputs=limit)
        assert (photo.height, photo.width) == (1600, 2400)
        assert np.abs(photo.image[5, 5].astype(int) - (200, 40, 40)).max() <= 6
        assert photo.notes[0].text.startswith("Read at 1/8 of its size, because it has 4 megapix")
        with pytest.raises(ImageError, match=r"at most 1 megapixels, .*--max-megapixels"):
            read_photo(path, 10**7, inputs=limit)


ALONE = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]], check=True)
"""
"""Starts Python from a small process: Linux counts to a process what its parent had in memory."""

HUGE = """
import resource, sys
from primaps.data.reading import read_photo
photo = read_photo(sys.argv[1], 1_000_000)
print(photo.height, photo.width, photo.image.size <= 3_000_000, photo.notes[0].text[:19])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_two_hundred_megapixels(tmp_path, progressive):
    PIL.Image.new("L", (16320, 12240), 90).save(tmp_path / "x.jpg", progressive=progressive)
    assert count_pixels(tmp_path / "x.jpg") == 16320 * 12240
    found = subprocess.run(
        [sys.executable, "-c", ALONE, HUGE, str(tmp_path / "x.jpg")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert found[0] == "12240 16320 True Read at 1/8 of its "
    assert int(found[1]) < 1500  # MB


@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"])
def test_tiff_signatures(start):
    assert is_tiff(start)
    assert not is_tiff(b"\x89PNG")
