import pytest
import torch
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.heads.neighbours import nearest_neighbours, pooled


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_agrees_with_brute_force(chunk):
    descriptors = F.normalize(torch.randn(41, 6, generator=torch.Generator().manual_seed(0)), dim=1)
    found = nearest_neighbours(descriptors, 5, chunk=chunk)
    for image in range(41):
        others = sorted(
            (-float(descriptors[image] @ descriptors[j]), j) for j in range(41) if j != image
        )
        assert found[image].tolist() == [j for _, j in others[:5]]


def test_duplicates_find_each_other_and_never_themselves():
    found = nearest_neighbours(F.normalize(torch.ones(4, 3), dim=1), 3)
    assert all(
        sorted(found[image].tolist()) == [j for j in range(4) if j != image] for image in range(4)
    )


def test_fewer_images_than_neighbours():
    assert nearest_neighbours(F.normalize(torch.randn(3, 2), dim=1), 30).shape == (3, 2)


def test_one_image_and_broken_features():
    with pytest.raises(DatasetError, match="two or more"):
        nearest_neighbours(torch.ones(1, 3), 7)
    with pytest.raises(DatasetError, match="finite"):
        nearest_neighbours(torch.tensor([[1.0], [float("nan")]]), 1)


def test_pooled_is_the_direction_of_the_mean():
    features = torch.randn(2, 3, 4, 5)
    expected = features[1].flatten(1).mean(1)
    torch.testing.assert_close(pooled(features)[1], expected / expected.norm())
