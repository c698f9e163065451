from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from primaps.data import camvid, cityscapes, cocostuff, potsdam
from primaps.data.checking import check_dataset
from primaps.data.lists import list_md5
from primaps.errors import ConfigError
from primaps.progress import Silent
from primaps.types import IGNORE_INDEX

MODULES = {"cityscapes": cityscapes, "cocostuff": cocostuff, "potsdam": potsdam}


class Told:
    """Records what a progress bar would show."""

    def __init__(self):
        self.stages, self.steps, self.finished = [], 0, 0

    def start(self, stage, total, done=0):
        self.stages.append((stage, total))

    def advance(self, steps=1):
        self.steps += steps

    def finish(self):
        self.finished += 1

    def note(self, message):
        raise AssertionError(message)


@pytest.fixture
def published(monkeypatch):
    """Pretend that the published data sets are as small as the drawn ones."""
    sizes = {"train": 3, "val": 2, "test": 7, "train_large": 7}
    for module in MODULES.values():
        splits = tuple(
            dataclasses.replace(
                split,
                images=sizes[split.name],
                list_md5=split.list_md5 and list_md5(_names(sizes[split.name])),
            )
            for split in module.ABOUT.splits
        )
        monkeypatch.setattr(module, "ABOUT", dataclasses.replace(module.ABOUT, splits=splits))


def _names(count):
    return [f"{139 + 585 * index:012d}" for index in range(count)]


@pytest.fixture(params=MODULES)
def tree(request, trees, tmp_path):
    """Name and root of a drawn data set."""
    return request.param, getattr(trees, f"write_{request.param}")(tmp_path / request.param)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("workers", [1, 3])
def test_a_complete_data_set(tree, workers):
    told = Told()
    found = check_dataset(*tree, None, told, workers)
    assert found.complete
    assert found.usable
    by_name = {split.split.name: split for split in found.splits}
    assert [(by_name[name].images, by_name[name].complete) for name in ("train", "val")] == [
        (3, True),
        (2, True),
    ]
    assert all(
        split.left_out and not split.complete
        for name, split in by_name.items()
        if name not in {"train", "val"}
    )
    assert told.stages == [("train", 3), ("val", 2)]
    assert (told.steps, told.finished) == (5, 2)


@pytest.mark.usefixtures("published")
def test_pixels_are_counted_per_class(tree):
    name, root = tree
    found = check_dataset(name, root, "val", Silent())
    (split,) = found.splits
    labels = np.concatenate([sample.labels.ravel() for sample in MODULES[name].load(root, "val")])
    assert split.pixels.tolist() == [
        np.count_nonzero(labels == label) for label in range(len(split.class_names))
    ]
    assert split.ignored == np.count_nonzero(labels == IGNORE_INDEX)
    assert split.ignored_share == pytest.approx(np.mean(labels == IGNORE_INDEX))
    assert split.pixels.sum() + split.ignored == labels.size


def test_fewer_images_than_published(tree):
    found = check_dataset(*tree, None, Silent())
    assert found.usable
    assert not found.complete
    assert all(not split.failures or split.failures[0].stage == "list" for split in found.splits)


def test_another_list_than_the_published_one(trees, tmp_path):
    root = trees.write_cocostuff(tmp_path / "c")
    (split,) = check_dataset("cocostuff", root, "val", Silent()).splits
    (failure,) = split.failures
    assert failure.path.endswith("curated/val2017/Coco164kFull_Stuff_Coarse_7.txt")
    assert (
        "Expected the published list of 2175 images, but this one has 2 and differs"
        in failure.reason
    )


@pytest.mark.usefixtures("published")
def test_every_bad_file_is_named_and_the_others_are_counted(tree, trees):
    name, root = tree
    pairs = MODULES[name].load(root, "train").pairs
    pairs[0].image.write_bytes(pairs[0].image.read_bytes()[:400])
    pairs[1].labels.write_bytes(b"")
    if name == "potsdam":
        trees.write_mat(pairs[2].labels, gt=np.full((96, 96), 77, np.int32))
    else:
        Image.new("L", (128, 96), 222).save(pairs[2].labels)
    found = check_dataset(name, root, None, Silent())
    assert found.usable
    assert not found.complete
    train, val = found.splits[:2]
    assert val.complete
    assert train.images == 0
    assert train.pixels.sum() == 0
    assert [(failure.path, failure.stage) for failure in train.failures] == [
        (str(pairs[0].image), "image"),
        (str(pairs[1].labels), "labels"),
        (str(pairs[2].labels), "labels"),
    ]
    reasons = [failure.reason for failure in train.failures]
    assert "is damaged or truncated" in reasons[0]
    assert "is empty (0 bytes)" in reasons[1]
    assert "contains 77" in reasons[2] or "contains 222" in reasons[2]


@pytest.mark.usefixtures("published")
def test_sizes_that_differ_and_files_that_are_missing(tree, trees):
    name, root = tree
    pairs = MODULES[name].load(root, "train").pairs
    if name == "potsdam":
        trees.write_mat(pairs[0].labels, gt=np.zeros((20, 10), np.int32))
    else:
        Image.new("L", (10, 20), 7).save(pairs[0].labels)
    pairs[1].labels.unlink()
    found = check_dataset(name, root, "train", Silent())
    (train,) = found.splits
    assert train.images == 1
    assert [(failure.path, failure.stage) for failure in train.failures] == [
        (str(pairs[1].labels), "layout"),
        (str(pairs[0].labels), "labels"),
    ]
    assert "has 10x20" in train.failures[1].reason


def test_nothing_there(tmp_path):
    for name in MODULES:
        nowhere = check_dataset(name, tmp_path / "nowhere", None, Silent())
        assert not nowhere.usable
        assert "nowhere, but there is none" in nowhere.error
        empty = check_dataset(name, tmp_path, None, Silent())
        assert not empty.usable
        assert not empty.complete
        assert all(split.error for split in empty.splits)


def test_an_optional_split_that_is_asked_for_is_needed(trees, tmp_path):
    root = trees.write_cityscapes(tmp_path / "c")
    found = check_dataset("cityscapes", root, "test", Silent())
    (split,) = found.splits
    assert (found.usable, found.complete, split.left_out) == (False, False, False)
    assert "leftImg8bit/test" in split.error


def test_unknown_names(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'cityscapes'"):
        check_dataset("cityscape", tmp_path, None, Silent())
    assert "there is no split 'v'" in check_dataset("potsdam", tmp_path, "v", Silent()).error


def test_your_own_folder(tmp_path):
    for split in ("a", "b"):
        for folder in ("images", "labels"):
            (tmp_path / folder / split).mkdir(parents=True)
        Image.new("RGB", (4, 2)).save(tmp_path / "images" / split / "x.jpg")
        Image.new("L", (4, 2), 1).save(tmp_path / "labels" / split / "x.png")
    found = check_dataset("folder", tmp_path, None, Silent())
    assert found.complete
    assert [(split.split.name, split.images, split.pixels.tolist()) for split in found.splits] == [
        ("a", 1, [0, 8]),
        ("b", 1, [0, 8]),
    ]
    assert len(check_dataset("folder", tmp_path, "b", Silent()).splits) == 1
    (tmp_path / "images/b/x.jpg").unlink()
    assert not check_dataset("folder", tmp_path, "b", Silent()).usable


@pytest.mark.slow
def test_camvid_as_it_is_distributed(shared):
    found = check_dataset("camvid", shared / "data" / "camvid", None, Silent())
    assert [(split.split.name, split.images, split.complete) for split in found.splits] == [
        ("train", 367, True),
        ("val", 101, True),
        ("test", 0, False),
    ]
    assert found.complete
    assert found.splits[0].class_names == camvid.CLASS_NAMES
    assert found.splits[0].pixels.min() > 0
