"""Two processes count the same confusion matrix as one."""

import numpy as np
import pytest
import torch

from primaps.errors import DatasetError
from primaps.runs.model import Model
from primaps.types import FitResult

pytestmark = pytest.mark.slow


@pytest.fixture
def saved(texture, tmp_path):
    """Folder of a model with random prototypes."""
    prototypes = torch.randn(5, texture.dim, generator=torch.Generator().manual_seed(0))
    fit = FitResult(prototypes, prototypes.clone(), True, torch.zeros(5, dtype=torch.int64))
    Model(fit, texture.describe(), None, 64, {"preset": "default"}, "x").save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("count", [1, 5])
def test_the_same_confusion_matrix(pool, jobs, saved, count):
    alone = jobs.score(None, saved, count)
    assert alone.confusion.any()
    for found in pool("score", saved, count):
        assert found.confusion.dtype == np.int64
        assert np.array_equal(found.confusion, alone.confusion)
        assert np.array_equal(found.assignment.cluster_to_class, alone.assignment.cluster_to_class)
        assert (found.accuracy, found.miou, found.num_images) == (alone.accuracy, alone.miou, count)


def test_no_image_at_all(pool, saved):
    with pytest.raises(DatasetError, match="one or more images to evaluate"):
        pool("score", saved, 0)
