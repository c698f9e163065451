import pytest
import torch
from torch.nn import functional as F

from primaps.errors import DatasetError
from primaps.heads.clusters import ClusterCentres
from primaps.heads.projection import ProjectionHead
from primaps.pipeline.heads.head_centres import cluster_usage, refit_centres


class Crops:
    """Seven crops of 4 x 5 tokens around four directions of 8 channels."""

    dim = 8

    def __init__(self):
        draws = torch.Generator().manual_seed(0)
        self.owners = torch.randint(4, (7, 4, 5), generator=draws)
        directions = F.one_hot(torch.arange(4), 8).float()
        self.all = (
            directions[self.owners] + 0.05 * torch.randn(7, 4, 5, 8, generator=draws)
        ).permute(0, 3, 1, 2)

    def __len__(self):
        return len(self.all)

    def features(self, indices):
        return self.all[list(indices)]


@pytest.fixture
def head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ProjectionHead(8, 6).eval()


def centres(count, dim=6):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ClusterCentres(count, dim)


def test_centres_found_anew_are_those_of_the_codes(head):
    crops, found = Crops(), centres(4)
    before = float(found.loss(head(crops.all)).detach())
    refit_centres(head, found, crops, seed=0)
    assert float(found.loss(head(crops.all)).detach()) < before - 0.1
    winners = found(head(crops.all)).argmax(1)
    assert (
        len(
            {
                (int(owner), int(winner))
                for owner, winner in zip(crops.owners.flatten(), winners.flatten(), strict=True)
            }
        )
        == 4
    )
    assert sorted(cluster_usage(head, found, crops).tolist()) == sorted(
        torch.bincount(crops.owners.flatten()).tolist()
    )


def test_the_seed_alone_decides(head):
    first, second, third = centres(5), centres(5), centres(5)
    torch.nn.init.zeros_(second.centres)
    for found, seed in ((first, 3), (second, 3), (third, 4)):
        refit_centres(head, found, Crops(), seed)
    assert torch.equal(first.centres, second.centres)
    assert not torch.equal(first.centres, third.centres)


def test_more_centres_than_codes_are_refused(head):
    refit_centres(head, centres(140), Crops(), seed=0)
    with pytest.raises(DatasetError, match="as many tokens as clusters, but got 140 and 141"):
        refit_centres(head, centres(141), Crops(), seed=0)
