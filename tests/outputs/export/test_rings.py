"""Outlines of regions."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from primaps.outputs.export.regions import connected_regions
from primaps.outputs.export.rings import INSET, cut_polygon, region_rings, simple_rings


def random_regions():
    generator = np.random.default_rng(1)
    for _ in range(80):
        height, width = (int(side) for side in generator.integers(1, 14, 2))
        labels = generator.choice(
            np.array([0, 1, 255], np.uint8), (height, width), p=[0.6, 0.3, 0.1]
        )
        for region in connected_regions(labels):
            mask = np.zeros((height, width), bool)
            rows, columns = region.mask.shape
            mask[region.top : region.top + rows, region.left : region.left + columns] = region.mask
            yield region, mask


def area(points):
    x, y = points.T
    return abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2


def test_a_square_with_a_hole():
    labels = np.zeros((3, 3), np.uint8)
    labels[1, 1] = 255
    (region,) = connected_regions(labels)
    rings = region_rings(region)
    assert {tuple(corner) for corner in rings.outer[:, :2].tolist()} == {
        (0, 0),
        (3, 0),
        (3, 3),
        (0, 3),
    }
    ((_, *rest),) = [hole[:, :2].tolist() for hole in rings.holes]
    assert len(rest) == 3


@pytest.mark.parametrize("to_whole", [False, True])
def test_a_painter_of_whole_pixels_paints_the_region_and_no_more(to_whole):
    for region, mask in random_regions():
        points = cut_polygon(region_rings(region), INSET)
        picture = Image.new("L", mask.shape[::-1])
        corners = [tuple(map(int, point) if to_whole else point) for point in points.tolist()]
        ImageDraw.Draw(picture).polygon(corners, fill=1, outline=1)
        np.testing.assert_array_equal(np.asarray(picture), mask)


def test_holes_are_cut_out_for_pycocotools():
    for region, mask in random_regions():
        polygon = cut_polygon(region_rings(region)).ravel().tolist()
        packed = coco_mask.merge(coco_mask.frPyObjects([polygon], *mask.shape))
        np.testing.assert_array_equal(coco_mask.decode(packed), mask)


def test_simple_rings_pass_no_corner_twice():
    for region, mask in random_regions():
        outer, holes = simple_rings(region_rings(region))
        for ring in (outer, *holes):
            assert len(np.unique(ring, axis=0)) == len(ring)
        assert area(outer) - sum(area(hole) for hole in holes) == mask.sum()
