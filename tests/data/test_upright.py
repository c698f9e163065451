"""Files of photographs that need not be turned."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from primaps.data.reading import read_image
from primaps.data.upright import Standing, standing, upright_bytes
from primaps.errors import ImageError


def save_turned(path, pixels, orientation):
    picture = Image.fromarray(pixels)
    if path.suffix == ".tif":
        picture.save(path, tiffinfo={0x0112: orientation})
    else:
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif[0x010F] = "maker"
        picture.save(path, exif=exif)


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photographs_become_upright(tmp_path, gradient, extension, orientation):
    path = tmp_path / f"x.{extension}"
    save_turned(path, gradient, orientation)
    data = upright_bytes(path)
    again = tmp_path / f"again.{extension}"
    again.write_bytes(data)
    expected = read_image(path)
    height, width = expected.shape[:2]
    assert standing(path) == Standing(
        height, width, turned=orientation != 1, swapped=orientation >= 5
    )
    assert standing(again) == Standing(height, width, turned=False)
    assert (data == path.read_bytes()) == (orientation == 1)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif().get(0x0112, 1) == 1
        assert picture.size == (width, height)
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(pixels - expected).max() <= (16 if extension == "jpg" else 0)


def test_other_photographs_keep_their_bytes(odd_images):
    for what, path in odd_images.items():
        if what != "rotated":
            assert upright_bytes(path) == path.read_bytes()
            assert not standing(path).turned


def test_modes_are_kept(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(values).save(tmp_path / "deep.png", exif=exif)
    with Image.open(io.BytesIO(upright_bytes(tmp_path / "deep.png"))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.rot90(values, -1))


def test_bad_files_are_errors(bad_images):
    for what in ("empty_jpg", "text_jpg", "broken_link_jpg", "folder_jpg"):
        with pytest.raises(ImageError):
            standing(bad_images[what])
        with pytest.raises(ImageError):
            upright_bytes(bad_images[what])


@pytest.mark.parametrize("kind", ["preview first", "jpeg 2000", "palette of 16 bits"])
def test_turned_tiff_files_that_pillow_reads_otherwise(tmp_path, photograph, kind):
    path, turned = tmp_path / "x.tif", {"extratags": [(274, "H", 1, 6, True)]}
    with tifffile.TiffWriter(path) as file:
        if kind == "preview first":
            file.write(photograph[::4, ::4], photometric="rgb", subfiletype=1)
            file.write(photograph, photometric="rgb", **turned)
        elif kind == "jpeg 2000":
            file.write(photograph, photometric="rgb", compression="jpeg2000", **turned)
        else:
            table = np.zeros((3, 65536), np.uint16)
            table[:, :256] = np.arange(256) * 257
            index = photograph[..., 0].astype(np.uint16)
            file.write(index, photometric="palette", colormap=table, **turned)
    expected = read_image(path)
    assert expected.shape == (80, 60, 3)
    with Image.open(io.BytesIO(upright_bytes(path))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
