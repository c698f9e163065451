from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.data.camvid import CLASS_NAMES, load
from primaps.errors import DatasetError
from primaps.types import IGNORE_INDEX

CAMVID = Path(__file__).parents[2].parent / "shared" / "data" / "camvid"


@pytest.fixture
def root(tmp_path):
    for folder in ("val", "valannot", "test", "testannot"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (12, 2)).save(tmp_path / "val/f.png")
    Image.fromarray(np.arange(24, dtype=np.uint8).reshape(2, 12) % 12).save(
        tmp_path / "valannot/f.png"
    )
    return tmp_path


def test_unlabelled_becomes_the_ignore_index(root):
    dataset = load(root, "val")
    assert dataset.class_names == CLASS_NAMES
    assert len(np.unique(dataset.colours, axis=0)) == len(CLASS_NAMES) == 11
    assert dataset[0].labels.tolist() == [[*range(11), IGNORE_INDEX]] * 2


def test_id_12_is_an_error(root):
    Image.new("L", (12, 2), 12).save(root / "valannot/f.png")
    with pytest.raises(DatasetError, match=r"Expected label ids 0\.\.11, 255 .*contains 12"):
        load(root, "val")[0]


def test_missing_split_lists_those_that_exist(root):
    for split in ("train", None):
        with pytest.raises(
            DatasetError, match=r"It has the splits test, val\. Check root and split"
        ):
            load(root, split)


def test_empty_split(root):
    with pytest.raises(DatasetError, match=r"Expected images in .*test, but found none"):
        load(root, "test")


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not on this machine")
@pytest.mark.parametrize(("split", "size"), [("train", 367), ("val", 101)])
def test_the_real_data_set(split, size):
    dataset = load(CAMVID, split)
    assert len(dataset) == size
    counts = np.zeros(256, dtype=np.int64)
    for index in range(0, size, 25):
        sample = dataset[index]
        assert sample.image.shape == (360, 480, 3)
        counts += np.bincount(sample.labels.ravel(), minlength=256)
    share = counts[:11] / counts[:11].sum()
    # Road and building fill street scenes; sky lies above, so its pixels are bright.
    assert share[CLASS_NAMES.index("road")] > 0.2
    assert share[CLASS_NAMES.index("building")] > 0.15
    assert counts[11:255].sum() == 0
    assert sample.image[sample.labels == CLASS_NAMES.index("sky")].mean() > sample.image.mean()
