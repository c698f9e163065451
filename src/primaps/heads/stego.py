"""Training of a STEGO head: unsupervised segmentation by distilling feature correspondences
(Hamilton et al., ICLR 2022).

The linear probe of the official code is supervised; it lives in `primaps.evaluation.probe`, apart
from training.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from primaps.heads.clusters import ClusterCentres
from primaps.heads.crops import TrainingCrops
from primaps.heads.projection import ProjectionHead
from primaps.heads.settings import StegoConfig
from primaps.heads.stego_loss import correspondence_terms, draw_coordinates, draw_permutation
from primaps.heads.training import Draw, HeadTask, batch_of, generator, seeded


class StegoTask(HeadTask):
    """Head and cluster centres under the correspondence loss.

    Attributes:
        head: The head.
        clusters: The cluster centres.
    """

    def __init__(
        self,
        crops: TrainingCrops,
        neighbours: Tensor,
        num_clusters: int,
        config: StegoConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        """Draw initial weights.

        Args:
            crops: The training crops.
            neighbours: (N, k) int64 nearest neighbours of every crop, closest first, itself left
                out.
            num_clusters: K.
            config: Settings.
            seed: Of everything random.
            device: Where training runs.
        """
        self.crops, self.config, self.seed = crops, config, seed
        self.neighbours = neighbours[:, : config.num_neighbours]
        with seeded(seed, Draw.START, 0, torch.device("cpu")):  # equal weights on every device
            self.head = ProjectionHead(crops.dim, config.dim, dropout=config.dropout)
            self.clusters = ClusterCentres(num_clusters, config.dim)
        self.modules = nn.ModuleDict({"head": self.head, "clusters": self.clusters}).to(device)
        self.optimisers = {
            "head": torch.optim.Adam(self.head.parameters(), lr=config.learning_rate),
            "clusters": torch.optim.Adam(
                self.clusters.parameters(), lr=config.cluster_learning_rate
            ),
        }

    def losses(self, step: int) -> dict[str, Tensor]:
        """Correspondence terms times their weights, and the loss of the cluster centres."""
        config, draws = self.config, generator(self.seed, Draw.STEP, step)
        batch = batch_of(step, len(self.crops), config.batch_size, 2, self.seed)
        ranks = torch.randint(self.neighbours.shape[1], (len(batch),), generator=draws)
        partners = self.neighbours[batch, ranks].tolist()
        plain, positive = (self._features_and_code(indices) for indices in (batch, partners))
        coordinates = [
            draw_coordinates(len(batch), config.samples, draws).to(plain[0].device)
            for _ in range(2)
        ]
        permutations = torch.stack(
            [draw_permutation(len(batch), draws) for _ in range(config.negatives)]
        )
        terms = correspondence_terms(
            plain,
            positive,
            (coordinates[0], coordinates[1]),
            permutations.to(plain[0].device),
            config.switches,
        )
        return {
            "self": config.weight_self * terms.itself,
            "neighbour": config.weight_neighbour * terms.neighbour,
            "random": config.weight_random * terms.random,
            "clusters": self.clusters.loss(plain[1]),
        }

    def _features_and_code(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        """Features, of which channels are dropped as in the head's branches, and the code."""
        features = self.crops.features(indices)
        return F.dropout2d(features, self.config.dropout), self.head(features)
