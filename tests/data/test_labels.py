from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from primaps.data.labels import read_labels
from primaps.errors import DatasetError, ImageError


@pytest.fixture
def ids() -> np.ndarray:
    return np.array([[0, 1, 2], [10, 254, 255]], dtype=np.uint8)


def test_ids_are_read_as_stored(tmp_path, ids):
    Image.fromarray(ids).save(tmp_path / "grey.png")
    indexed = Image.fromarray(ids).convert("P")
    indexed.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    indexed.save(tmp_path / "indexed.png", transparency=1)
    Image.fromarray(ids.astype(np.uint16)).save(tmp_path / "sixteen.png")
    for name in ("grey.png", "indexed.png", "sixteen.png"):
        labels = read_labels(tmp_path / name)
        assert labels.dtype == np.int64
        assert np.array_equal(labels, ids), name


def test_large_ids_are_not_scaled(tmp_path):
    Image.fromarray(np.array([[300, 65535]], dtype=np.uint16)).save(tmp_path / "x.png")
    assert read_labels(tmp_path / "x.png").tolist() == [[300, 65535]]


def test_one_bit(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "x.png")
    assert read_labels(tmp_path / "x.png").tolist() == [[1, 0]]


def test_orientation_is_applied_as_to_images(tmp_path, ids):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(ids).save(tmp_path / "x.png", exif=exif)
    assert np.array_equal(read_labels(tmp_path / "x.png"), ids[::-1, ::-1])


def test_colour_label_images_are_refused(tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "x.png")
    with pytest.raises(
        DatasetError,
        match=(
            r"one channel of class ids, but .*x\.png has mode RGB. Save it as greyscale or indexed"
        ),
    ):
        read_labels(tmp_path / "x.png")


def test_damaged_label_image(bad_images):
    with pytest.raises(ImageError, match="damaged or truncated"):
        read_labels(bad_images["truncated_png"])


@pytest.mark.parametrize(("bits", "layout"), [(2, "png"), (4, "png"), (4, "tif")])
def test_grey_ids_of_few_bits_are_not_stretched(tmp_path, bits, layout):
    ids = np.arange(24).reshape(4, 6) % (1 << bits)
    per = 8 // bits
    rows = np.pad(ids, ((0, 0), (0, -6 % per))).reshape(4, -1, per)
    packed = (rows << (np.arange(per)[::-1] * bits)).sum(axis=-1).astype(np.uint8)
    path = tmp_path / f"x.{layout}"
    if layout == "png":
        header = struct.pack(">IIBBBBB", 6, 4, bits, 0, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in packed))
        chunks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
        content = b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(each)) + name + each + struct.pack(">I", zlib.crc32(name + each))
            for name, each in chunks
        )
    else:
        tags = {256: 6, 257: 4, 258: bits, 259: 1, 262: 1, 273: 122, 277: 1, 278: 4, 279: 12}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, each) for tag, each in tags.items())
        content = (
            b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed.tobytes()
        )
    path.write_bytes(content)
    assert np.array_equal(read_labels(path), ids)
