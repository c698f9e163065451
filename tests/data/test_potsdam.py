from __future__ import annotations

import numpy as np
import pytest

from primaps.data.potsdam import CLASS_NAMES, ENCODING, load, survey
from primaps.errors import DatasetError, ImageError
from primaps.types import IGNORE_INDEX


@pytest.fixture
def root(trees, tmp_path):
    return trees.write_potsdam(tmp_path / "potsdam")


def test_six_stored_ids_become_three_classes():
    # impervious, building, low vegetation, tree, car, clutter; unlabelled
    assert ENCODING.decode(np.array([0, 1, 2, 3, 4, 5, -1, 255])).tolist() == [
        0,
        1,
        2,
        2,
        0,
        1,
        IGNORE_INDEX,
        IGNORE_INDEX,
    ]
    assert CLASS_NAMES == ("roads and cars", "buildings and clutter", "vegetation and trees")


def test_round_trip(root, trees):
    dataset = load(root, "train")
    assert [sample.name for sample in dataset] == ["0.mat", "1.mat", "2.mat"]
    image, ids = trees.draw_scene(1, trees.POTSDAM_IDS, 96, 96)
    assert np.array_equal(dataset[1].image, image)
    assert np.array_equal(
        dataset[1].labels, np.select([np.isin(ids, (0, 4)), np.isin(ids, (1, 5))], [0, 1], 2)
    )
    assert dataset.colours.tolist() == [[58, 0, 68], [0, 130, 122], [255, 230, 0]]


def test_val_and_test_are_the_same(root):
    assert (
        load(root, "val").image_paths
        == load(root, "test").image_paths
        == tuple(root / f"imgs/{name}.mat" for name in "34")
    )


def test_the_order_is_that_of_the_list(root):
    (root / "labelled_train.txt").write_text("2\n0\n")
    assert [sample.name for sample in load(root, "train")] == ["2.mat", "0.mat"]


def test_a_missing_or_empty_list(root):
    (root / "labelled_train.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"labelled_train\.txt, one per line, but it is empty"):
        load(root, "train")
    (root / "labelled_train.txt").unlink()
    with pytest.raises(
        DatasetError,
        match=(
            r"labelled_train\.txt, but there is none. The lists come with the tiles and cannot be"
            r" made"
        ),
    ):
        load(root, "train")


def test_missing_tiles(root):
    (root / "gt/3.mat").unlink()
    with pytest.raises(DatasetError, match=r"gt/3\.mat: Expected this file, which the list"):
        load(root, "val")
    assert [pair.name for pair in survey(root, "val").pairs] == ["4.mat"]


def test_bad_tiles(root, trees):
    trees.write_mat(root / "gt/3.mat", gt=np.full((96, 96), 6, np.int32))
    with pytest.raises(
        DatasetError, match=r"Expected label ids -1\.\.5, 255 .*gt/3\.mat contains 6"
    ):
        load(root, "val")[0]
    trees.write_mat(root / "gt/3.mat", gt=np.zeros((48, 96), np.int32))
    with pytest.raises(
        DatasetError, match=r"imgs/3\.mat has 96x96 pixels and .*gt/3\.mat has 96x48"
    ):
        load(root, "val")[0]
    content = (root / "imgs/3.mat").read_bytes()
    (root / "imgs/3.mat").write_bytes(content[:2000])
    with pytest.raises(ImageError, match=r"imgs/3\.mat is damaged or truncated"):
        load(root, "val")[0]
    (root / "imgs/3.mat").write_bytes(b"")
    with pytest.raises(ImageError, match=r"imgs/3\.mat is empty"):
        load(root, "val")[0]
