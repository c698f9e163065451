import torch
from torch.nn import functional as F

from primaps.heads.clusters import ClusterCentres
from primaps.prototypes.em import kmeans_loss
from primaps.prototypes.steps.plain import PlainSums


def test_loss_is_that_of_cosine_kmeans():
    torch.manual_seed(0)
    clusters, code = ClusterCentres(4, 5), torch.randn(3, 5, 2, 6)
    expected = kmeans_loss(clusters.centres, list(code), PlainSums())
    torch.testing.assert_close(clusters.loss(code), expected)
    torch.testing.assert_close(
        clusters(code)[1, 2, 1, 3],
        F.cosine_similarity(clusters.centres[2], code[1, :, 1, 3], dim=0),
    )


def test_only_the_centres_learn():
    clusters, code = ClusterCentres(4, 5), torch.randn(3, 5, 2, 6, requires_grad=True)
    clusters.loss(code).backward()
    assert code.grad is None
    assert clusters.centres.grad.any()


def test_centres_move_to_the_directions_of_the_codes():
    torch.manual_seed(0)
    clusters = ClusterCentres(6, 3)
    code = torch.eye(3)[torch.arange(30) % 3].T.reshape(1, 3, 5, 6)
    optimiser = torch.optim.Adam(clusters.parameters(), lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        clusters.loss(code).backward()
        optimiser.step()
    assert float(clusters.loss(code).detach()) < -0.99
