"""Connected regions."""

import numpy as np

from primaps.outputs.export.regions import class_regions, connected_regions, without_small

MAP = np.array(
    [[0, 0, 255, 2], [255, 255, 0, 2], [2, 2, 0, 2]],
    dtype=np.uint8,
)


def test_regions_hang_together_by_edges_not_by_corners():
    found = [(each.class_id, each.box, each.area) for each in connected_regions(MAP)]
    assert found == [
        (0, [0, 0, 2, 1], 2),
        (0, [2, 1, 1, 2], 2),
        (2, [3, 0, 1, 3], 3),
        (2, [0, 2, 2, 1], 2),
    ]


def test_all_of_a_class_at_once():
    found = [(each.class_id, each.box, each.area) for each in class_regions(MAP)]
    assert found == [(0, [0, 0, 3, 3], 4), (2, [0, 0, 4, 3], 5)]


def test_regions_cover_every_labelled_pixel_once():
    labels = np.random.default_rng(0).choice(np.array([0, 3, 254, 255], np.uint8), (20, 31))
    back = np.full_like(labels, 255)
    for each in connected_regions(labels):
        height, width = each.mask.shape
        box = back[each.top : each.top + height, each.left : each.left + width]
        assert (box[each.mask] == 255).all()
        box[each.mask] = each.class_id
    np.testing.assert_array_equal(back, labels)


def test_no_class_no_region():
    assert not list(connected_regions(np.full((3, 4), 255, np.uint8)))


def test_small_regions_become_unlabelled():
    expected = np.where((MAP == 2) & (np.arange(4) == 3), 2, 255)
    np.testing.assert_array_equal(without_small(MAP, 3), expected)
    assert without_small(MAP, 1) is MAP
