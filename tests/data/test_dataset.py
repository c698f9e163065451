from __future__ import annotations

import importlib

import numpy as np
import pytest
from PIL import Image

from primaps.data.dataset import DATASETS, LabelledDataset, Sample, load_dataset
from primaps.errors import ConfigError, DatasetError


@pytest.mark.parametrize("name", DATASETS)
def test_every_registered_module_loads(name, tmp_path):
    assert callable(importlib.import_module(DATASETS[name]).load)
    with pytest.raises(DatasetError, match=r"nowhere, but there is none\. Check the path"):
        load_dataset(name, tmp_path / "nowhere", "val")


def test_unknown_name_suggests_a_known_one(tmp_path):
    with pytest.raises(ConfigError, match=r"but got 'camvit'. Did you mean 'camvid'\? Choose one of camvid, folder"):
        load_dataset("camvit", tmp_path, "val")


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
