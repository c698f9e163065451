from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

from primaps.data.decoding import FORMATS, decoding, open_header
from primaps.data.scanning import IMAGE_EXTENSIONS
from primaps.errors import ConfigError, ImageError


def test_every_extension_that_is_scanned_is_a_format_that_is_read():
    extensions = Image.registered_extensions()
    assert {extensions[extension] for extension in IMAGE_EXTENSIONS} <= set(FORMATS)


def test_yields_the_file_at_its_start(odd_images):
    with decoding(odd_images["grey"]) as stream:
        assert stream.tell() == 0
        image = open_header(stream)
        image.load()
    assert image.size == (36, 24)
    assert stream.closed


def test_no_more_is_asked_for_than_there_is(odd_images):
    with decoding(odd_images["grey"]) as stream:
        whole = stream.read(1 << 62)
        stream.seek(3)
        assert stream.read() == whole[3:]
        stream.seek(0)
        assert stream.read(None) == whole
        assert stream.read(5) == b""
    assert whole == odd_images["grey"].read_bytes()


def test_content_decides_not_the_extension(odd_images, tmp_path):
    path = tmp_path / "png_named.jpg"
    path.write_bytes(odd_images["black"].read_bytes())
    with decoding(path) as stream:
        assert open_header(stream).format == "PNG"


@pytest.mark.parametrize("content", [b"x", b"\xff", b"II", b"BM", b"\x89PNG", b"P6", b"RIFF1234W"])
def test_files_of_a_few_bytes_are_none_of_the_formats(tmp_path, content):
    (tmp_path / "x.jpg").write_bytes(content)
    with (
        pytest.raises(ImageError, match=r"x\.jpg (is none of these|is damaged)") as caught,
        decoding(tmp_path / "x.jpg") as stream,
    ):
        open_header(stream)
    if content == b"x":
        assert isinstance(caught.value.__cause__, UnidentifiedImageError)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + bytes(17), "PNG: broken PNG file"),
        (b"\xff\xd8\xff\xc0\0\x0b\x0c\0\1\0\1\1\1\x11\0", "JPEG: cannot handle 12-bit"),
        (b"GIF89a" + bytes(3), "GIF: "),
    ],
)
def test_what_starts_like_an_image_and_is_none_says_why(tmp_path, content, text):
    (tmp_path / "x.dat").write_bytes(content)
    with (
        pytest.raises(ImageError, match=rf"x\.dat is damaged or of a rare kind \({text}"),
        decoding(tmp_path / "x.dat") as stream,
    ):
        open_header(stream)


def test_formats_that_start_programs_are_refused(tmp_path):
    path = tmp_path / "script.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    with (
        pytest.raises(ImageError, match=r"the content of .*script\.jpg is none of these"),
        decoding(path) as stream,
    ):
        open_header(stream)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "to fit into memory, but it does not. Make the image smaller"),
        (PermissionError(13, "denied"), "no permission to read"),
        (SyntaxError("broken PNG file"), r"damaged or truncated \(broken PNG file\)"),
        (EOFError(), r"damaged or truncated \(EOFError\)"),
    ],
)
def test_errors_inside_the_block_become_image_errors(odd_images, error, text):
    with pytest.raises(ImageError, match=text) as caught, decoding(odd_images["grey"]):
        raise error
    assert caught.value.__cause__ is error
    assert str(odd_images["grey"]) in str(caught.value)


def test_own_errors_and_interrupts_pass(odd_images):
    with pytest.raises(ConfigError, match="mine"), decoding(odd_images["grey"]):
        raise ConfigError("mine")
    with pytest.raises(KeyboardInterrupt), decoding(odd_images["grey"]):
        raise KeyboardInterrupt


def test_named_pipe_is_refused_without_waiting_for_a_writer(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with (
        pytest.raises(ImageError, match=r"pipe.jpg is no regular file"),
        decoding(tmp_path / "pipe.jpg"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(odd_images):
    odd_images["grey"].chmod(0)
    with pytest.raises(ImageError, match="no permission to read"), decoding(odd_images["grey"]):
        pass


def test_impossible_paths():
    with pytest.raises(ImageError, match="Check the path"), decoding("a\0b.jpg"):
        pass
    with pytest.raises(ImageError, match="Check the path"), decoding("x" * 5000):
        pass


def test_bytes_that_are_no_unicode_are_printable_in_the_message(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg"))
    with pytest.raises(ImageError, match=r"\\xff\.jpg") as caught, decoding(path):
        pass
    str(caught.value).encode("utf-8")


def test_global_state_of_pillow_stays(bad_images):
    limit, truncated = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    for path in bad_images.values():
        with pytest.raises(ImageError), decoding(path) as stream:
            open_header(stream).load()
    assert limit == Image.MAX_IMAGE_PIXELS
    assert truncated is ImageFile.LOAD_TRUNCATED_IMAGES
