from __future__ import annotations

import contextlib
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tifffile

from primaps.config import InputConfig
from primaps.data.reading import count_pixels, read_image, read_photo
from primaps.data.tiff import TiffFile
from primaps.errors import ImageError


@pytest.fixture
def grey(photograph):
    """(60, 80) uint8."""
    return np.asarray(PIL.Image.fromarray(photograph).convert("L"))


@pytest.fixture
def write(tmp_path):
    """Writes a file and returns its path."""

    def written(array, name="x.tif", **options):
        tifffile.imwrite(tmp_path / name, array, **options)
        return tmp_path / name

    return written


def _kinds(photo):
    return [note.kind for note in photo.notes]


def _near(image, expected, tolerance=1):
    expected = expected[..., None] if expected.ndim < image.ndim else expected
    return np.abs(image.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize("white", [False, True])
@pytest.mark.parametrize(
    ("dtype", "factor"),
    [("uint8", 1), ("uint16", 257), ("uint16", 16), ("uint32", 16843009), ("float32", 1 / 255)],
)
def test_depths_and_which_end_is_white(write, grey, white, dtype, factor):
    """The same picture at every depth, and whether white or black is zero."""
    top = {"uint8": 255, "float32": 1.0}.get(dtype, 255 * factor)
    stored = grey.astype(np.float64) * factor
    values = np.rint(top - stored) if white and dtype != "float32" else stored
    if white and dtype == "float32":
        values = top - stored
    if white and factor == 16:  # white is zero of 12 bits
        values = 4095 - stored
    options = {"photometric": "miniswhite" if white else "minisblack"}
    photo = read_photo(write(values.astype(dtype), **options), 10**6)
    assert _near(photo.image, grey, 1)
    assert _kinds(photo) == ([] if dtype == "uint8" else ["range"])


@pytest.mark.parametrize("bits", [12, 10])
def test_packed_numbers(write, grey, bits):
    values = grey.astype(np.uint16) << (bits - 8)
    path = write(values, photometric="minisblack", bitspersample=bits)
    assert _near(read_image(path, inputs=InputConfig("dtype")), grey)


def test_signed_and_given_ranges(write, grey):
    path = write(grey.astype(np.int16) * 10 - 1000)
    assert _near(read_image(path, inputs=InputConfig((-1000, 1550))), grey)
    measured = read_photo(path, 10**6)
    assert measured.values[0] == "int16"
    assert measured.image.max() - measured.image.min() > 240


@pytest.mark.parametrize("layout", ["contig", "separate"])
@pytest.mark.parametrize("bands", [2, 4, 5, 7])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bands(write, photograph, grey, layout, bands, dtype):
    planes = [*np.moveaxis(photograph, -1, 0), grey, grey, grey, grey][:bands]
    factor = 257 if dtype == "uint16" else 1
    stack = np.stack(planes, axis=-1 if layout == "contig" else 0).astype(dtype) * factor
    path = write(stack, photometric="minisblack", planarconfig=layout)
    photo = read_photo(path, 10**6, inputs=InputConfig("dtype"))
    expected = photograph[..., 0] if bands == 2 else photograph
    assert _near(photo.image, expected, 0)
    assert "bands" in _kinds(photo)
    if bands > 3:
        swapped = InputConfig("dtype", bands=(bands, 2, 1))
        expected = np.stack([planes[-1], planes[1], planes[0]], axis=-1)
        assert _near(read_image(path, inputs=swapped), expected, 0)
    with pytest.raises(ImageError, match=f"bands 9, but .* has {bands}"):
        read_image(path, inputs=InputConfig(bands=(9,)))


def test_chosen_bands_of_a_plain_picture(write, photograph):
    path = write(photograph, photometric="rgb")
    photo = read_photo(path, 10**6, inputs=InputConfig(bands=(3, 2, 1)))
    assert np.array_equal(photo.image, photograph[..., ::-1])
    assert photo.notes[0].text == "Bands 3, 2, 1 of 3."
    assert read_image(path, inputs=InputConfig(bands=(2,)))[..., 0].tolist() == (
        photograph[..., 1].tolist()
    )


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("tag", [1, 2])
def test_infrared_that_is_tagged_as_opacity(write, photograph, grey, dtype, tag):
    factor = 257 if dtype == "uint16" else 1
    stack = np.dstack([photograph, grey // 3]).astype(dtype) * factor
    path = write(stack, photometric="rgb", planarconfig="contig", extrasamples=[tag])
    photo = read_photo(path, 10**6, inputs=InputConfig("dtype"))
    assert np.array_equal(photo.image, photograph)
    assert "near infrared" in next(note.text for note in photo.notes if note.kind == "alpha")
    chosen = read_image(path, inputs=InputConfig("dtype", (4, 1, 2)))
    assert np.array_equal(chosen[..., 1:], photograph[..., :2])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("tag", [1, 2])
def test_opacity_of_a_photograph(write, photograph, dtype, tag):
    alpha = np.zeros((60, 80))
    alpha[10:50, 20:60] = 1.0
    alpha[:, 60:70] = 0.5
    stored = photograph * (alpha[..., None] if tag == 1 else 1)  # 1: multiplied already
    stack = np.dstack([stored, alpha * 255]) / 255
    stack = stack if dtype == "float32" else np.rint(stack * np.iinfo(dtype).max)
    path = write(stack.astype(dtype), photometric="rgb", planarconfig="contig", extrasamples=[tag])
    photo = read_photo(path, 10**6, inputs=InputConfig("dtype"))
    expected = photograph * alpha[..., None] + 255 * (1 - alpha[..., None])
    assert _near(photo.image, np.rint(expected), 2)
    assert "alpha" in _kinds(photo)


@pytest.mark.parametrize(
    ("text", "stored", "dtype"),
    [
        ("-9999", -9999, "float32"),
        ("-3.4028234663852886e+38", np.finfo(np.float32).min, "float32"),
        ("nan", np.nan, "float32"),
        ("0", 0, "uint16"),
        ("-32768 ", -32768, "int16"),
        ("255", 255, "uint8"),
    ],
)
def test_pixels_without_data(write, grey, text, stored, dtype):
    values = grey.clip(1, 254).astype(dtype)
    values[:10, :15] = stored
    photo = read_photo(write(values, extratags=[(42113, "s", 0, text, True)]), 10**6)
    assert photo.ignored.shape == (60, 80)
    assert photo.ignored[:10, :15].all()
    assert photo.ignored.sum() == 150
    rest = ~photo.ignored
    assert _near(photo.image[rest], grey[rest])
    mean = photo.image[..., 0][rest].mean()
    assert np.abs(photo.image[photo.ignored].astype(int) - mean).max() <= 1
    assert photo.notes[-1].text.startswith("3.1% of the pixels hold no data")


def test_no_data_of_colours_is_where_all_bands_have_it(write, photograph):
    image = photograph.clip(1)
    image[:5] = 0
    image[30, 40] = (0, 9, 9)
    path = write(image, photometric="rgb", extratags=[(42113, "s", 0, "0", True)])
    photo = read_photo(path, 10**6)
    assert photo.ignored.sum() == 5 * 80
    assert np.array_equal(photo.image[5:], image[5:])


def test_no_data_that_does_not_occur_or_makes_no_sense(write, grey):
    for text in ("-9999", "none", "70000"):
        path = write(grey.clip(1), extratags=[(42113, "s", 0, text, True)])
        photo = read_photo(path, 10**6)
        assert photo.ignored is None
        assert photo.notes == ()


def test_masks_in_the_file(tmp_path, photograph, grey):
    mask = np.ones((60, 80), bool)
    mask[40:] = False
    for name, array in (("a.tif", photograph), ("b.tif", grey.astype(np.uint16) * 257)):
        with tifffile.TiffWriter(tmp_path / name) as file:
            file.write(array, photometric="rgb" if array.ndim == 3 else "minisblack")
            file.write(mask, photometric="minisblack", subfiletype=4)
        photo = read_photo(tmp_path / name, 10**6)
        assert photo.ignored.sum() == 20 * 80
        assert _near(photo.image[:40], array[:40] if array.ndim == 3 else grey[:40])
        assert "page" not in _kinds(photo)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_deep_images_and_of_what_has_no_data(write, grey, orientation):
    from primaps.data.orientation import upright

    values = grey.astype(np.float32)
    values[:10, :15] = np.nan
    tags = [(274, "H", 1, orientation, True)]
    photo = read_photo(write(values, extratags=tags), 10**6, inputs=InputConfig((0, 255)))
    expected = np.asarray(upright(PIL.Image.fromarray(grey), orientation))
    hole = np.asarray(upright(PIL.Image.fromarray(np.isnan(values)), orientation))
    assert (photo.height, photo.width) == expected.shape
    assert np.array_equal(photo.ignored, hole)
    assert _near(photo.image[~hole], expected[~hole], 0)
    plain = write(grey.clip(1), "plain.tif", extratags=[*tags, (42113, "s", 0, "0", True)])
    assert _near(read_image(plain), np.maximum(expected, 1), 0)
    assert ("orientation" in _kinds(read_photo(plain, 10**6))) == (orientation > 1)


def test_pages(write, grey):
    stack = np.stack([np.zeros_like(grey), grey, 255 - grey])
    path = write(stack, photometric="minisblack")
    photo = read_photo(path, 10**6)
    assert photo.image.max() == 0
    assert photo.notes[0].text == "1 of 3 pages is used; --pages all uses every one."
    assert np.array_equal(read_image(path, page=2)[..., 0], grey)
    third = read_photo(path, 10**6, page=3)
    assert np.array_equal(third.image[..., 0], 255 - grey)
    assert third.notes[0].text == "Page 3 of 3."
    deep = write(stack.astype(np.uint16) * 257, "deep.tif", photometric="minisblack")
    assert np.array_equal(read_image(deep, page=2)[..., 0], grey)


def test_volumes(write, grey):
    volume = np.stack([grey, 255 - grey, grey]).astype(np.uint16) * 257
    path = write(volume, photometric="minisblack", volumetric=True, tile=(1, 16, 16))
    photo = read_photo(path, 10**6)
    assert np.array_equal(photo.image[..., 0], grey)
    assert photo.notes[0].text == "1 of 3 planes is used."


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("how", ["sub-directory", "next", "old tag", "overview after"])
def test_previews_are_never_used_in_place_of_the_picture(tmp_path, photograph, how, dtype):
    path, small = tmp_path / "x.dng", photograph[::4, ::4]
    picture = photograph.astype(dtype) * (257 if dtype == "uint16" else 1)
    with tifffile.TiffWriter(path) as file:
        options = {"photometric": "rgb"}
        if how == "overview after":
            file.write(picture, **options)
            file.write(small, subfiletype=1, **options)
        else:
            marked = (
                {"extratags": [(255, "H", 1, 2, True)]} if how == "old tag" else {"subfiletype": 1}
            )
            file.write(small, **marked, **options, subifds=1 if how == "sub-directory" else 0)
            file.write(picture, **options)
    photo = read_photo(path, 10**6)
    assert np.array_equal(photo.image, photograph)
    assert "page" not in _kinds(photo)
    assert count_pixels(path) == 60 * 80


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_first_page_that_is_a_later_one_made_small_is_a_preview_without_a_tag(
    tmp_path, photograph, dtype
):
    path = tmp_path / "x.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(photograph[::4, ::4].astype(dtype), photometric="rgb")
        file.write(photograph.astype(dtype) * (257 if dtype == "uint16" else 1), photometric="rgb")
    photo = read_photo(path, 10**6)
    assert np.array_equal(photo.image, photograph)
    assert "page" not in _kinds(photo)
    with tifffile.TiffWriter(path) as file:
        file.write(photograph[:, ::4].astype(dtype), photometric="rgb")
        file.write(photograph.astype(dtype), photometric="rgb")
    photo = read_photo(path, 10**6)
    assert photo.image.shape == (60, 20, 3)
    assert "page" in _kinds(photo)


def test_a_file_that_was_not_written_to_its_end(tmp_path):
    (tmp_path / "x.tif").write_bytes(b"II*\0\0\0\0\0" + bytes(100))
    with pytest.raises(ImageError, match=r"x\.tif, but it holds none: it was not written to its"):
        read_image(tmp_path / "x.tif")


def test_a_file_of_nothing_but_previews_is_refused(write, photograph):
    path = write(photograph, photometric="rgb", subfiletype=1)
    with pytest.raises(ImageError, match=r"x\.tif, but it holds previews of reduced resolution"):
        read_image(path)


def test_palettes_of_sixteen_bits(write, photograph):
    colours, index = np.unique(photograph.reshape(-1, 3), axis=0, return_inverse=True)
    table = np.zeros((3, 65536), np.uint16)
    table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
    path = write(index.reshape(60, 80).astype(np.uint16), photometric="palette", colormap=table)
    assert _near(read_image(path, inputs=InputConfig("dtype")), photograph, 0)


def test_colours_of_palettes_are_not_stretched(write, photograph):
    """Neither dark ones of 16 bits, nor those of programs that write 8-bit ones."""
    dark = photograph // 8
    colours, index = np.unique(dark.reshape(-1, 3), axis=0, return_inverse=True)
    table = np.zeros((3, 65536), np.uint16)
    table[:, : len(colours)] = colours.T.astype(np.uint16) * 257
    path = write(index.reshape(60, 80).astype(np.uint16), photometric="palette", colormap=table)
    photo = read_photo(path, 10**6)
    assert np.array_equal(photo.image, dark)
    assert photo.notes == ()
    low = np.zeros((3, 256), np.uint16)
    low[:, :2] = ((10, 250), (20, 240), (30, 230))
    path = write((photograph[..., 0] > 90).astype(np.uint8), photometric="palette", colormap=low)
    assert np.array_equal(np.unique(read_image(path)[..., 0]), (10, 250))


def test_opacity_that_hides_nothing_is_not_noted(write, photograph):
    opaque = np.full((60, 80, 1), 255, np.uint8)
    for factor, dtype in ((1, "uint8"), (257, "uint16")):
        values = np.dstack([photograph, opaque]).astype(dtype) * factor
        for kind in (1, 2):
            photo = read_photo(write(values, photometric="rgb", extrasamples=[kind]), 10**6)
            assert np.array_equal(photo.image, photograph)
            assert "alpha" not in _kinds(photo)


@pytest.mark.parametrize(("dtype", "value"), [("int16", -9999), ("float32", -3.4028235e38)])
def test_no_data_without_a_tag(write, grey, dtype, value):
    values = grey.astype(dtype) * 10
    values[:20, :20] = value
    photo = read_photo(write(values), 10**6)
    assert photo.ignored.sum() == 400
    assert photo.image[30:].std() > 20
    assert _kinds(photo) == ["no-data", "range", "no-data"]


@pytest.mark.parametrize("compression", ["jpeg2000", "jpegxl", "png", "webp", "lerc"])
def test_compressed_8_bit_values_that_pillow_does_not_decode(write, photograph, compression, capfd):
    options = {} if compression in {"png", "lerc"} else {"compressionargs": {"level": 100}}
    path = write(photograph, photometric="rgb", compression=compression, **options)
    photo = read_photo(path, 10**6)
    assert _near(photo.image, photograph, 12)
    assert photo.notes == ()
    assert capfd.readouterr() == ("", "")


def test_brightness_and_colour_differences_are_refused_where_nothing_converts_them(write, grey):
    values = np.dstack([grey, grey, grey])
    path = write(values, photometric="ycbcr", compression="jpeg2000")
    with pytest.raises(ImageError, match="got YCBCR of 3 bands with 8 bits"):
        read_image(path)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_numbers_that_are_no_picture(write, dtype):
    with pytest.raises(ImageError, match=f"whole or real numbers in .*, but got {dtype}"):
        read_image(write(np.ones((8, 8), dtype)))


def test_deep_images_with_inks_say_what_they_are(write):
    path = write(np.zeros((8, 8, 4), np.uint16), photometric="separated", planarconfig="contig")
    with pytest.raises(ImageError, match=r"colours or bands in .*, but got SEPARATED"):
        read_image(path)


def test_too_many_values(write):
    path = write(np.zeros((2000, 100, 5)), photometric="minisblack", planarconfig="contig")
    limit = InputConfig(megapixels=1)
    with pytest.raises(ImageError, match=r"at most 0.003 GB .* has 0.008.*--max-megapixels"):
        read_image(path, inputs=limit)


def test_tiles_that_lie_about_their_size(write, grey):
    path = write(grey.astype(np.float32), tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["TileWidth"]
    content = bytearray(path.read_bytes())
    content[tag.offset + 2 : tag.offset + 12] = b"\x04\0\x01\0\0\0" + b"\x20\0\0\x10"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"at most 0.54 GB of values, but .* has 3"):
        read_image(path)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd", "jpeg"])
def test_compressed(write, photograph, compression):
    path = write(photograph, photometric="rgb", compression=compression)
    difference = np.abs(read_image(path).astype(int) - photograph)
    assert difference.mean() < 12 if compression == "jpeg" else difference.max() == 0
    if compression != "jpeg":
        deep = write(
            photograph.astype(np.uint16) * 257,
            photometric="rgb",
            compression=compression,
            predictor=compression != "packbits",
        )
        assert _near(read_image(deep), photograph, 0)


WITHOUT_CODECS = """
import sys
sys.modules["imagecodecs"] = None
from primaps.data.reading import read_photo
from primaps.errors import ImageError
for path in sys.argv[1:]:
    try:
        photo = read_photo(path, 10**6)
        print(photo.image.mean().round(1), [note.text for note in photo.notes])
    except ImageError as error:
        print(error)
"""


@pytest.mark.slow
def test_without_the_extra(write, photograph, grey):
    """Pillow reads what it can; for the rest the message names the extra."""
    paths = [
        write(photograph.astype(np.uint16) * 257, "a.tif", photometric="rgb", compression="lzw"),
        write(grey.astype(np.uint16) * 257, "b.tif", compression="lzw"),
        write(
            np.dstack([photograph] * 2),
            "c.tif",
            photometric="minisblack",
            planarconfig="contig",
            compression="lzw",
        ),
    ]
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_CODECS, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert found[0].startswith(f"{photograph.mean().round(1)} ")
    assert "The upper 8 of 16 bits are used; with pip install 'primaps[formats]'" in found[0]
    assert found[1].startswith(f"{grey.mean().round(1)} ['Values from 0 to 65535")
    assert "c.tif is compressed with LZW. Install them: pip install 'primaps[formats]'" in found[2]


def test_truncated_files_are_listed(write, photograph):
    for dtype in ("uint8", "uint16", "float64"):
        path = write(photograph.astype(dtype), photometric="rgb", rowsperstrip=4)
        content = path.read_bytes()
        for part in (0.3, 0.6, 0.9):
            path.write_bytes(content[: int(len(content) * part)])
            with pytest.raises(ImageError):
                read_image(path)


def test_a_chain_of_directories_that_ends_in_a_loop(write, grey):
    path = write(np.stack([grey, grey, grey]), photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        last, first = file.pages[2], file.pages[0]
        end = last.offset + 2 + 12 * len(last.tags)
        offset = first.offset
    content = bytearray(path.read_bytes())
    content[end : end + 4] = offset.to_bytes(4, "little")
    path.write_bytes(content)
    assert read_photo(path, 10**6).notes[0].text.startswith("1 of 3 pages")


def test_nothing_is_said_on_the_terminal(write, grey, capfd):
    path = write(grey.astype(np.float32), photometric="minisblack")
    content = path.read_bytes()
    path.write_bytes(content[:20] + b"\xff" * 6 + content[26:])
    with contextlib.suppress(ImageError):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_kinds_of_values(write, photograph):
    kinds = {"uint8": None, "uint16": "uint16", "int32": "int32", "float64": "float"}
    for dtype, kind in kinds.items():
        path = write(photograph.astype(dtype), photometric="rgb")
        with path.open("rb") as stream:
            assert TiffFile(stream, "x").kind(0) == kind
