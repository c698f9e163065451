"""Run lengths in three ways."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from primaps.outputs.export.regions import Region, connected_regions
from primaps.outputs.export.rle import brush_rle, coco_rle, row_counts


def whole(region, size):
    mask = np.zeros(size, bool)
    height, width = region.mask.shape
    mask[region.top : region.top + height, region.left : region.left + width] = region.mask
    return mask


def random_regions():
    generator = np.random.default_rng(0)
    for _ in range(60):
        size = tuple(int(side) for side in generator.integers(1, 12, 2))
        labels = generator.choice(np.array([0, 1, 255], np.uint8), size, p=[0.6, 0.3, 0.1])
        for region in connected_regions(labels):
            yield region, size


def test_coco_rle_is_that_of_pycocotools():
    for region, size in random_regions():
        expected = coco_mask.encode(np.asfortranarray(whole(region, size), dtype=np.uint8))
        assert coco_rle(region, size) == {
            "size": list(size),
            "counts": expected["counts"].decode(),
        }


def test_cvat_rle_is_row_major_and_relative_to_its_box():
    """cvat#6487, cvat#4723."""
    mask = np.array([[False, True, True], [True, False, True]])
    assert row_counts(mask) == [1, 3, 1, 1]
    assert row_counts(~mask) == [0, 1, 3, 1, 1]


def unpacked(packed):
    """Decoded as the editor of Label Studio does it."""
    bits = "".join(f"{byte:08b}" for byte in packed)
    place = 0

    def read(count):
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    total, word, sizes = read(32), read(5) + 1, [read(4) + 1 for _ in range(4)]
    out = []
    while len(out) < total:
        run, length = read(1), read(sizes[read(2)]) + 1
        out += [read(word)] * length if run else [read(word) for _ in range(length)]
    assert len(bits) - place < 8
    return np.array(out, np.uint8)


def test_label_studio_rle_is_bit_packed_rgba_and_not_that_of_coco():
    """label-studio-converter#17, label-studio-converter#95."""
    for region, size in random_regions():
        packed = brush_rle(region, size)
        assert all(0 <= byte <= 255 for byte in packed)
        expected = np.repeat(whole(region, size)[..., None] * np.uint8(255), 4, axis=2)
        np.testing.assert_array_equal(unpacked(packed), expected.ravel())


@pytest.mark.parametrize("side", [2, 4, 64, 128, 200])
def test_label_studio_splits_long_runs(side):
    region = Region(0, 0, 0, np.ones((side, side), bool))
    assert (unpacked(brush_rle(region, (side, side))) == 255).all()
    assert len(brush_rle(region, (side, side))) < 40
