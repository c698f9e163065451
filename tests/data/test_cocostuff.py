from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from primaps.data.cocostuff import CLASS_NAMES, COARSE, ENCODING, FIRST_STUFF, load, survey
from primaps.errors import DatasetError, ImageError
from primaps.types import IGNORE_INDEX

# Class by fine id, written down once more as the array that the published code uses.
PUBLISHED = """
9 11 11 11 11 11 11 11 11 8 8 8 8 8 8 7 7 7 7 7 7 7 7 7 7 6 6 6 6 6 6 6 6 10 10 10 10 10 10 10 10
10 10 5 5 5 5 5 5 5 5 2 2 2 2 2 2 2 2 2 2 3 3 3 3 3 3 3 3 3 3 0 0 0 0 0 0 1 1 1 1 1 1 4 4 4 4 4 4
4 4 17 17 22 20 20 22 15 25 16 13 12 12 17 17 23 15 15 17 15 21 15 25 13 13 13 13 13 22 26 14 14
15 22 21 21 24 20 22 15 17 16 15 22 24 21 17 25 16 21 17 22 16 21 21 25 21 26 21 24 20 17 14 21 26
15 23 20 21 24 15 24 22 25 15 20 17 17 22 14 18 18 18 18 18 18 18 26 26 19 19 24
"""
CLASS_COUNTS = [
    6, 6, 10, 10, 8, 8, 8, 10, 6, 1, 10, 8, 2, 6, 4, 11, 4, 11, 7, 2, 6, 11, 9, 2, 6, 5, 5,
]  # fmt: skip


@pytest.fixture
def root(trees, tmp_path):
    return trees.write_cocostuff(tmp_path / "cocostuff", large=True)


def test_the_fine_to_coarse_table_is_the_published_one():
    published = [int(word) for word in PUBLISHED.split()]
    assert len(published) == 182
    assert ENCODING.decode(np.arange(182)).tolist() == published
    assert sorted(COARSE) == list(range(182))
    assert np.bincount(list(COARSE.values())).tolist() == CLASS_COUNTS
    assert ENCODING.known == "0..181, 255"


def test_names_of_classes():
    assert len(set(CLASS_NAMES)) == 27
    assert (CLASS_NAMES[9], CLASS_NAMES[FIRST_STUFF], CLASS_NAMES[26]) == (
        "person",
        "ceiling",
        "water",
    )


def test_round_trip(root, trees):
    dataset = load(root, "train")
    assert [sample.name for sample in dataset] == [
        "000000000139.jpg",
        "000000000724.jpg",
        "000000001309.jpg",
    ]
    image, ids = trees.draw_scene([5, 1], trees.COCOSTUFF_IDS)
    assert np.abs(dataset[1].image.astype(int) - image).mean() < 8  # JPEG
    expected = np.select(
        [ids == fine for fine in trees.COCOSTUFF_IDS], [23, 22, 26, 7, IGNORE_INDEX]
    )
    assert np.array_equal(dataset[1].labels, expected)
    assert dataset.colours[[0, 1, 15]].tolist() == [[0, 0, 0], [128, 0, 0], [192, 128, 128]]


def test_the_list_defines_the_split(root):
    assert [len(load(root, split)) for split in ("train", "val", "train_large")] == [3, 2, 4]


def test_a_missing_list(root, trees):
    (root / "curated/val2017" / trees.CURATED).unlink()
    (root / "curated/train2017" / trees.CURATED_LARGE).unlink()
    with pytest.raises(
        DatasetError,
        match=(
            r"Coarse_7\.txt, but there is none. Copy it from its source, or make it: `primaps"
            r" check cocostuff --root ROOT --make-lists`"
        ),
    ):
        load(root, "val")
    with pytest.raises(
        DatasetError, match=r"Coarse\.txt, but there is none. .*cannot be made from the labels"
    ):
        load(root, "train_large")


def test_an_empty_list(root, trees):
    (root / "curated/val2017" / trees.CURATED).write_text("")
    with pytest.raises(DatasetError, match=r"Coarse_7\.txt, one per line, but it is empty"):
        load(root, "val")


def test_missing_files(root):
    (root / "images/val2017/000000000139.jpg").unlink()
    with pytest.raises(
        DatasetError, match=r"images/val2017/000000000139\.jpg: Expected this file, which the list"
    ):
        load(root, "val")
    assert [pair.name for pair in survey(root, "val").pairs] == ["000000000724.jpg"]
    (root / "annotations/val2017").rename(root / "annotations/elsewhere")
    with pytest.raises(DatasetError, match=r"stuffthingmaps\) at .*val2017, but there is none"):
        load(root, "val")


def test_bad_labels(root):
    path = root / "annotations/val2017/000000000139.png"
    Image.new("L", (128, 96), 200).save(path)
    with pytest.raises(
        DatasetError, match=r"Expected label ids 0\.\.181, 255 .*000000000139\.png contains 200"
    ):
        load(root, "val")[0]
    Image.new("L", (96, 128), 3).save(path)
    with pytest.raises(DatasetError, match=r"139\.jpg has 128x96 pixels and .*139\.png has 96x128"):
        load(root, "val")[0]
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ImageError, match=r"139\.png is damaged or truncated"):
        load(root, "val")[0]
