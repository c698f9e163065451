import numpy as np

from primaps.naming.applying import apply_classes, class_pixels, corrected_pixels
from primaps.types import ClassTable, NamedClass

TABLE = ClassTable(
    4,
    (
        NamedClass(0, "a", (0, 0, 0), (0, 2)),
        NamedClass(1, "b", (0, 0, 0), (1,), ignore=True),
        NamedClass(9, "c", (0, 0, 0), ()),
    ),
)
LABELS = np.array([[0, 1, 2], [3, 255, 0]], dtype=np.uint8)


def test_clusters_become_classes():
    found = apply_classes(LABELS, TABLE)
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 255, 0], [255, 255, 0]]


def test_corrections_are_painted_over():
    proposals = np.array([[1, 1, 2], [3, 3, 0]])
    found = apply_classes(LABELS, TABLE, proposals, {1: 9, 2: 1, 3: 255})
    assert found.tolist() == [[9, 9, 255], [255, 255, 0]]


def test_pixels_are_counted_by_class():
    pixels = np.array([[5, 3, 2, 1]])
    found = class_pixels(pixels, TABLE)
    assert found.shape == (1, 256)
    assert {int(each): int(found[0, each]) for each in found[0].nonzero()[0]} == {0: 7, 255: 4}


def test_pixels_are_counted_as_they_are_painted():
    proposals = np.array([[1, 1, 2], [3, 3, 0]])
    pairs = np.zeros((4, 256), dtype=np.int64)
    np.add.at(pairs, (proposals, LABELS), 1)
    for corrected in ({}, {1: 9}, {1: 9, 2: 1, 3: 255}):
        painted = apply_classes(LABELS, TABLE, proposals, corrected)
        expected = np.bincount(painted.ravel(), minlength=256)
        np.testing.assert_array_equal(corrected_pixels(pairs, TABLE, corrected), expected)
