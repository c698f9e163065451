from __future__ import annotations

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
