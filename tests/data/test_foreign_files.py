from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from primaps.data.foreign_files import NEEDED, foreign_kind
from primaps.data.reading import read_image
from primaps.errors import ImageError

KINDS = {
    "x.jpg": (b"\n<!DOCTYPE html><html>404</html>", "a web page. Download the image again"),
    "x.png": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS. Fetch the"),
    "x.svg": (b"\xef\xbb\xbf<svg/>", "an SVG drawing"),
    "x.xml": (b"<?xml version='1.0'?>", "an XML text"),
    "x.json": (b'{"error": 404}', "a text"),
    "x.pdf": (b"%PDF-1.7", "a PDF document. Export its pages"),
    "x.psd": (b"8BPS\0\1", "a Photoshop file"),
    "x.xcf": (b"gimp xcf file", "a GIMP file"),
    "x.jxl": (b"\xff\x0a\xdd", "a JPEG XL file"),
    "box.jxl": (b"\0\0\0\x0cJXL \r\n", "a JPEG XL file"),
    "x.jxr": (b"II\xbc\1", "a JPEG XR file"),
    "x.exr": (b"v/1\1", "an OpenEXR file"),
    "x.hdr": (b"#?RADIANCE\n", "a Radiance HDR file"),
    "x.pam": (b"P7\nWIDTH 1", "a PAM file"),
    "x.pfm": (b"PF\n1 1\n-1.0\n", "a PFM file of colours"),
    "x.dcm": (bytes(128) + b"DICM", "a DICOM file"),
    "x.nii": (b"\x5c\1\0\0", "a NIfTI volume"),
    "x.npy": (b"\x93NUMPY", "a NumPy array"),
    "x.zip": (b"PK\3\4", "a ZIP archive. Unpack it"),
    "x.mp4": (b"\0\0\0\x18ftypmp42", "a video"),
    "x.avi": (b"RIFF\1\2\3\4AVI LIST", "a video"),
    "._x.jpg": (b"\0\5\x16\7", "what macOS keeps beside a file. Leave it out"),
    "zeros.jpg": (bytes(900), "nothing but zeros at its start. Copy it again"),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_files_that_hold_no_image_are_called_what_they_are(tmp_path, name):
    content, text = KINDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=f"but .*{name} is {text}"):
        read_image(tmp_path / name)


def test_what_is_not_known_is_shown(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"hello")
    assert foreign_kind(b"hello") is None
    with pytest.raises(ImageError, match=r"is none of these \(it starts with b'hello'\)"):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    "suffix", ["jpg", "png", "bmp", "gif", "tif", "webp", "ppm", "jp2", "avif"]
)
def test_images_are_none_of_these(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    PIL.Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    assert suffix == "avif" or foreign_kind(path.read_bytes()[:NEEDED]) is None
    assert read_image(path).shape == (8, 8, 3)
