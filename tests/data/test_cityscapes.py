from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from primaps.data.cityscapes import CLASS_NAMES, ENCODING, load, survey
from primaps.errors import DatasetError
from primaps.types import IGNORE_INDEX


@pytest.fixture
def root(trees, tmp_path):
    return trees.write_cityscapes(tmp_path / "cityscapes")


def test_ids_7_to_33_are_the_classes_and_the_others_are_unlabelled():
    decoded = ENCODING.decode(np.arange(34)).tolist()
    assert decoded == [IGNORE_INDEX] * 7 + list(range(27))
    assert len(CLASS_NAMES) == 27
    # The order of the published label table.
    named = {
        7: "road",
        8: "sidewalk",
        11: "building",
        17: "pole",
        19: "traffic light",
        21: "vegetation",
        23: "sky",
        24: "person",
    }
    named |= {26: "car", 29: "caravan", 31: "train", 33: "bicycle"}
    assert {stored: CLASS_NAMES[ENCODING.decode(np.array(stored))] for stored in named} == named


def test_round_trip(root, trees):
    dataset = load(root, "train")
    assert [sample.name for sample in dataset] == [
        "aachen/aachen_000000_000019_leftImg8bit.png",
        "aachen/aachen_000002_000019_leftImg8bit.png",
        "zurich/zurich_000001_000019_leftImg8bit.png",
    ]
    image, ids = trees.draw_scene([5, 1], trees.CITYSCAPES_IDS)
    assert np.array_equal(dataset[2].image, image)
    assert np.array_equal(dataset[2].labels, np.where(ids >= 7, ids - 7, IGNORE_INDEX))
    assert (dataset[2].labels == IGNORE_INDEX).any()
    assert dataset.colours[[0, 16, 26]].tolist() == [[128, 64, 128], [70, 130, 180], [119, 11, 32]]
    assert len(load(root, "val")) == 2


def test_a_missing_split(root):
    with pytest.raises(
        DatasetError,
        match=r"leftImg8bit/test, but there is none. `primaps check cityscapes --root .*` says",
    ):
        load(root, "test")
    with pytest.raises(DatasetError, match="there is no split 'validation'"):
        load(root, "validation")


def test_an_empty_split(root):
    for folder in ("leftImg8bit", "gtFine"):
        (root / folder / "test").mkdir()
    with pytest.raises(DatasetError, match=r"Expected images in .*test, but found none"):
        load(root, "test")


def test_files_without_partner(root):
    (root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png").unlink()
    (root / "leftImg8bit/val/zurich/zurich_000001_000019_leftImg8bit.png").unlink()
    with pytest.raises(
        DatasetError,
        match=(
            r"(?s)in 2 cases:.*aachen_000000_000019_gtFine_labelIds\.png: Expected the label image"
        ),
    ):
        load(root, "val")
    dataset = survey(root, "val")
    assert len(dataset) == 0
    assert dataset.missing[1].path.endswith(
        "leftImg8bit/val/zurich/zurich_000001_000019_leftImg8bit.png"
    )


def test_unknown_ids(root):
    path = root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.new("L", (128, 96), 34).save(path)
    with pytest.raises(
        DatasetError,
        match=(
            r"Expected label ids 0\.\.33, 255 .*aachen_000000_000019_gtFine_labelIds\.png"
            r" contains 34"
        ),
    ):
        load(root, "val")[0]


def test_sizes_that_differ(root):
    path = root / "gtFine/val/aachen/aachen_000000_000019_gtFine_labelIds.png"
    Image.new("L", (64, 48), 7).save(path)
    with pytest.raises(DatasetError, match=r"has 128x96 pixels and .*labelIds\.png has 64x48"):
        load(root, "val")[0]
