"""Run lengths in three ways."""

import numpy as np
import pytest
from pycocotools import mask as pycoco

from primaps.outputs.export.regions import Region, connected_regions
from primaps.outputs.export.rle import (
    brush_rle,
    coco_mask,
    coco_rle,
    mask_of_brush,
    mask_of_rows,
    row_counts,
)


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
        expected = pycoco.encode(np.asfortranarray(whole(region, size), dtype=np.uint8))
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


def test_every_mask_comes_back():
    for region, size in random_regions():
        mask = whole(region, size)
        np.testing.assert_array_equal(mask_of_brush(brush_rle(region, size), size), mask)
        np.testing.assert_array_equal(coco_mask(coco_rle(region, size), size), mask)
        box = region.mask.shape
        np.testing.assert_array_equal(mask_of_rows(row_counts(region.mask), box), region.mask)


def test_a_brush_may_pack_bytes_one_by_one_and_has_soft_edges():
    bits = f"{16:032b}{7:05b}" + "".join(f"{width - 1:04b}" for width in (3, 4, 8, 16))
    plain = [9, 9, 9, 127, 9, 9, 9, 128, 9, 9, 9, 0]
    bits += "0" + "01" + f"{11:04b}" + "".join(f"{value:08b}" for value in plain)
    bits += "1" + "00" + f"{3:03b}" + f"{255:08b}"
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[place : place + 8], 2) for place in range(0, len(bits), 8)]
    assert mask_of_brush(packed, (2, 2)).tolist() == [[False, True], [False, True]]


def test_coco_masks_that_are_not_compressed_and_polygons():
    expected = np.zeros((4, 6), bool)
    expected[1:3, 2:5] = True
    counts = [9, 2, 2, 2, 2, 2, 5]
    np.testing.assert_array_equal(coco_mask({"size": [4, 6], "counts": counts}, (4, 6)), expected)
    np.testing.assert_array_equal(coco_mask([[2, 1, 5, 1, 5, 3, 2, 3]], (4, 6)), expected)


@pytest.mark.parametrize(
    "decode",
    [
        lambda: mask_of_rows([3, 4], (2, 3)),
        lambda: mask_of_rows([-1, 7], (2, 3)),
        lambda: mask_of_brush([0, 0, 0, 96, 58], (4, 6)),
        lambda: mask_of_brush(
            brush_rle(Region(0, 0, 0, np.ones((4, 6), bool)), (4, 6))[:-1], (4, 6)
        ),
        lambda: mask_of_brush(brush_rle(Region(0, 0, 0, np.ones((4, 6), bool)), (4, 6)), (6, 6)),
        lambda: coco_mask({"size": [2, 3], "counts": ""}, (2, 3)),
        lambda: coco_mask({"size": [2, 3], "counts": "zzzz"}, (2, 3)),
        lambda: coco_mask({"size": [3, 2], "counts": [6]}, (2, 3)),
        lambda: coco_mask([[1, 2, 3, 4]], (2, 3)),
    ],
)
def test_damaged_masks_are_refused(decode):
    with pytest.raises(ValueError, match=r"run lengths|brush mask|mask of size|polygon"):
        decode()
