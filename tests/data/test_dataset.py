from __future__ import annotations

import importlib
import sys
import types

import numpy as np
import pytest
from PIL import Image

from primaps.data import camvid, dataset
from primaps.data.checking import check_dataset
from primaps.data.dataset import (
    DATASETS,
    LabelledDataset,
    Sample,
    dataset_title,
    describe_dataset,
    load_dataset,
)
from primaps.errors import ConfigError, DatasetError
from primaps.progress import Silent


@pytest.mark.parametrize("name", DATASETS)
def test_every_registered_module_loads(name, tmp_path):
    assert callable(importlib.import_module(DATASETS[name]).load)
    with pytest.raises(DatasetError, match=r"nowhere, but there is none\. Check the path"):
        load_dataset(name, tmp_path / "nowhere", "val")


def test_unknown_name_suggests_a_known_one(tmp_path):
    with pytest.raises(
        ConfigError,
        match=r"but got 'camvit'. Did you mean 'camvid'\? Choose one of cityscapes, .*folder",
    ):
        load_dataset("camvit", tmp_path, "val")


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_published_is_told(name):
    about = describe_dataset(name)
    assert about.title
    assert about.layout
    assert about.source.endswith(".")
    assert about.licence.endswith(".")
    assert bool(about.splits) == (about.discover is None)


def test_every_published_data_set_behaves_alike(trees, tmp_path):
    roots = {
        name: getattr(trees, f"write_{name}")(tmp_path / name)
        for name in ("cityscapes", "cocostuff", "potsdam")
    }
    for name, root in roots.items():
        dataset = load_dataset(name, root, "val")
        assert isinstance(dataset, LabelledDataset)
        samples = list(dataset)
        assert len(samples) == len(dataset) == 2
        assert [sample.path for sample in samples] == list(dataset.image_paths)
        assert len({sample.name for sample in samples}) == 2
        assert dataset.colours.shape == (len(dataset.class_names), 3)
        assert len(set(dataset.class_names)) == len(dataset.class_names)
        for sample in samples:
            assert (sample.image.dtype, sample.labels.dtype) == (np.uint8, np.int64)
            assert sample.image.shape == (*sample.labels.shape, 3)
            assert set(np.unique(sample.labels)) <= {*range(len(dataset.class_names)), 255}
        with pytest.raises(IndexError):
            dataset[2]
        with pytest.raises(
            DatasetError, match=r"there is no split 'nope'\. It has the splits train, val"
        ):
            load_dataset(name, root, "nope")
        with pytest.raises(DatasetError, match="no split was given"):
            load_dataset(name, root)


def test_by_name(tmp_path):
    for folder in ("val", "valannot"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (3, 2), "red").save(tmp_path / "val" / "a.png")
    Image.new("L", (3, 2), 4).save(tmp_path / "valannot" / "a.png")
    dataset = load_dataset("camvid", str(tmp_path), "val")
    assert isinstance(dataset, LabelledDataset)
    assert len(dataset) == 1
    samples = list(dataset)
    assert isinstance(samples[0], Sample)
    assert samples[0].labels.dtype == np.int64
    assert samples[0].labels.shape == samples[0].image.shape[:2] == (2, 3)
    assert dataset.colours.shape == (len(dataset.class_names), 3)
    assert dataset.colours.dtype == np.uint8


def test_titles_in_tables():
    assert [dataset_title(name) for name in DATASETS] == [
        "Cityscapes", "COCO-Stuff", "Potsdam-3", "CamVid", "folder",
    ]  # fmt: skip
    assert dataset_title("mine") == "mine"


def test_a_module_and_an_entry_make_a_data_set(monkeypatch, tmp_path):
    """Nothing else has to know of it."""
    parts = {name: getattr(camvid, name) for name in ("ABOUT", "load", "survey")}
    monkeypatch.setitem(sys.modules, "my_streets", types.SimpleNamespace(**parts))
    monkeypatch.setattr(dataset, "DATASETS", {**DATASETS, "mine": "my_streets"})
    for folder in ("val", "valannot"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (3, 2), "red").save(tmp_path / "val" / "a.png")
    Image.new("L", (3, 2), 4).save(tmp_path / "valannot" / "a.png")
    assert len(load_dataset("mine", tmp_path, "val")) == 1
    assert check_dataset("mine", tmp_path, "val", Silent()).splits[0].images == 1
    assert dataset_title("mine") == "CamVid"
