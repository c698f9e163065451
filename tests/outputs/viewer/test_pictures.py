import io
import zlib

import numpy as np
import pytest
from PIL import Image as PILImage

from primaps.outputs.viewer.pictures import (
    Packed,
    fitted,
    jpeg,
    missing_photo,
    packed_ids,
    packed_levels,
)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def scene(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 256], -1)


def smooth_maps(side):
    width, height = side, side * 3 // 4
    rows = np.mgrid[:height, :width][0]
    return Packed(width, height, packed_ids([rows // 40, rows // 20]))


def noisy_maps(side):
    width, height = side, side * 3 // 4
    ids = np.random.default_rng(side).integers(0, 300, (2, height, width))
    return Packed(width, height, packed_ids(list(ids)))


def no_certainty(_):
    return None


def size(image):
    return sum(len(each.data) for each in (image.photo, image.maps, image.certainty) if each)


def test_ids_beyond_a_byte_survive():
    ids = np.array([[0, 65535], [256, 300]])
    assert np.frombuffer(zlib.decompress(packed_ids([ids])), "<u2").tolist() == [0, 65535, 256, 300]


def test_maps_follow_one_another():
    first, second = np.arange(6).reshape(2, 3), np.full((2, 3), 9)
    found = np.frombuffer(zlib.decompress(packed_ids([first, second])), "<u2").reshape(2, 2, 3)
    assert (found == [first, second]).all()


def test_levels_are_bytes():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert zlib.decompress(packed_levels(levels)) == bytes(range(256))


def test_equal_pixels_give_equal_jpegs():
    photo = scene(40, 60).astype(np.uint8)
    assert jpeg(photo) == jpeg(photo.copy())
    with PILImage.open(io.BytesIO(jpeg(photo))) as picture:
        assert np.abs(np.asarray(picture).astype(int) - photo).mean() < 3


def test_a_plain_photograph_keeps_its_size_and_quality():
    photo = scene(480, 640).astype(np.uint8)
    made = fitted(photo, smooth_maps, no_certainty, 300_000)
    assert made.photo.data == jpeg(photo)
    assert (made.photo.width, made.photo.height) == (640, 480)
    assert (made.maps.width, made.maps.height) == (640, 480)
    assert made.certainty is None


@pytest.mark.parametrize("most", [300_000, 72_000, 40_000, 20_000])
@pytest.mark.parametrize("maps", [smooth_maps, noisy_maps])
def test_noise_takes_no_more_bytes_than_asked(most, maps):
    levels = np.random.default_rng(1).integers(0, 256, (240, 240)).astype(np.uint8)

    def certainty(side):
        return Packed(side, side, packed_levels(np.ascontiguousarray(levels[:side, :side])))

    made = fitted(noise(480, 640), maps, certainty, most)
    assert size(made) <= most
    assert made.certainty is not None
    with PILImage.open(io.BytesIO(made.photo.data)) as picture:
        assert picture.size == (made.photo.width, made.photo.height)


def test_quality_is_lowered_before_the_side():
    photo = noise(480, 640)
    made = fitted(photo, smooth_maps, no_certainty, 200_000)
    assert (made.photo.width, made.photo.height) == (640, 480)
    assert made.photo.data != jpeg(photo)


def test_one_pixel_is_an_image():
    one = Packed(1, 1, packed_ids([np.zeros((1, 1), int)]))
    made = fitted(np.zeros((1, 1, 3), np.uint8), lambda _: one, no_certainty, 70_000)
    assert (made.photo.width, made.photo.height) == (1, 1)
    assert made.maps == one


@pytest.mark.parametrize(
    ("width", "height", "shape"), [(1, 1, (1, 1)), (6000, 4000, (43, 64)), (9000, 3, (1, 64))]
)
def test_a_missing_photograph_has_the_shape_of_the_image(width, height, shape):
    picture = missing_photo(width, height)
    assert picture.shape == (*shape, 3)
    assert np.ptp(picture) == 0
