"""Training of an HP head (Seong et al., "Leveraging Hidden Positives for Unsupervised Semantic
Segmentation", CVPR 2023).
"""

from __future__ import annotations

import copy
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from primaps.heads.clusters import ClusterCentres
from primaps.heads.crops import TrainingCrops
from primaps.heads.hp_loss import (
    Pairs,
    consistency_loss,
    contrastive_loss,
    hidden_positives,
    reference_similarity,
    specific_weight,
)
from primaps.heads.local_positives import mix
from primaps.heads.projection import ProjectionHead
from primaps.heads.settings import HPConfig
from primaps.heads.training import Draw, HeadTask, batch_of, generator, seeded

RECOMPUTE_FROM: Final = 2**27
"""Pairs of tokens in a batch from which on similarities are computed twice: keeping them would take
3 GB and more.
"""
_POOL_BATCH: Final = 64


class Pools(nn.Module):
    """Reference pools: tokens at random places of random crops, which hidden positives have to
    beat.

    Attributes:
        raw: (M, C) float32 backbone features.
        agnostic: (M, C) float32 unit length, channels dropped.
        specific: (M, D) float32 unit length momentum codes of the same tokens, renewed in training.
    """

    raw: Tensor
    agnostic: Tensor
    specific: Tensor

    def __init__(self, raw: Tensor, dim: int, dropout: float) -> None:
        """Take the tokens; `specific` is empty (zeros) until it is renewed.

        Args:
            raw: (M, C) float32 backbone features.
            dim: D.
            dropout: Probability with which a channel is dropped.
        """
        super().__init__()
        self.dropout = dropout
        self.register_buffer("raw", raw)
        self.register_buffer("agnostic", _tokens(_dropped(raw[:, :, None, None], dropout)))
        self.register_buffer("specific", raw.new_zeros(len(raw), dim))

    @torch.no_grad()
    def renew(self, momentum_head: nn.Module) -> None:
        """Codes of the momentum head as it is now. Heads see one token at a time, so the tokens
        alone give them.
        """
        self.specific.copy_(
            _tokens(_dropped(momentum_head(self.raw[:, :, None, None]), self.dropout))
        )


class HPTask(HeadTask):
    """Head, momentum head, embedding layer and cluster centres under the contrastive and
    consistency losses.

    Attributes:
        head: The head.
        clusters: The cluster centres.
    """

    def __init__(
        self,
        crops: TrainingCrops,
        num_clusters: int,
        config: HPConfig,
        seed: int,
        device: torch.device,
    ) -> None:
        """Draw initial weights and the reference pools.

        Args:
            crops: The training crops.
            num_clusters: K.
            config: Settings.
            seed: Of everything random.
            device: Where training runs.
        """
        self.crops, self.config, self.seed = crops, config, seed
        self.total = config.num_steps(len(crops))
        raw = draw_pool(crops, config.pool_size, seed).cpu()
        with seeded(seed, Draw.START, 0, torch.device("cpu")):  # equal weights on every device
            self.head = ProjectionHead(crops.dim, config.dim, dropout=config.dropout)
            self.momentum_head = copy.deepcopy(self.head).requires_grad_(requires_grad=False)
            self.embedding = nn.Linear(config.dim, config.dim)
            self.clusters = ClusterCentres(num_clusters, config.dim)
            self.pools = Pools(raw, config.dim, config.dropout)
        self.modules = nn.ModuleDict(
            {
                "head": self.head,
                "momentum_head": self.momentum_head,
                "embedding": self.embedding,
                "clusters": self.clusters,
                "pools": self.pools,
            }
        ).to(device)
        self.gradient_limits = {"head": config.clip}
        rate = config.learning_rate
        self.optimisers = {
            "head": torch.optim.AdamW(
                self.head.parameters(), lr=rate, weight_decay=config.weight_decay
            ),
            "embedding": torch.optim.Adam(self.embedding.parameters(), lr=rate),
            "clusters": torch.optim.Adam(
                self.clusters.parameters(), lr=config.cluster_learning_rate
            ),
        }

    def losses(self, step: int) -> dict[str, Tensor]:
        """Contrastive loss, consistency loss times its weight, and the loss of the cluster
        centres.
        """
        config = self.config
        batch = batch_of(step, len(self.crops), config.batch_size, config.batch_size, self.seed)
        features = self.crops.features(batch)
        code = self.head(features)
        update_momentum(self.momentum_head, self.head, config.momentum)
        if step % config.renew_every == 0:
            self.pools.renew(self.momentum_head)
        mixed = _dropped(mix(code, self.crops.local_weights(batch)), config.dropout)
        embedded = self._embed(code)
        losses = {
            "contrastive": self._contrastive(step, features, (embedded, self._embed(mixed))),
            "clusters": self.clusters.loss(code),
        }
        if config.consistency_weight:
            draws = generator(self.seed, Draw.STEP, step)
            augmented = self._embed(self.head(self.crops.augmented(batch, draws)))
            losses["consistency"] = config.consistency_weight * consistency_loss(
                embedded, augmented
            )
        return losses

    def _embed(self, code: Tensor) -> Tensor:
        """(N * h * w, D) unit embeddings of a code."""
        return F.normalize(self.embedding(code.permute(0, 2, 3, 1).flatten(0, 2)), dim=1)

    def _contrastive(self, step: int, features: Tensor, views: tuple[Tensor, Tensor]) -> Tensor:
        """Mean over the images of the batch and over plain and mixed code."""
        config = self.config
        with torch.no_grad():
            plain = _tokens(_dropped(features, config.dropout))
            momentum = _tokens(_dropped(self.momentum_head(features), config.dropout))
            plain_bars = reference_similarity(plain, self.pools.agnostic)
            momentum_bars = reference_similarity(momentum, self.pools.specific)
        count, per_image = len(features), len(plain) // len(features)
        kept = torch.rand(per_image, len(plain), device=plain.device) < config.kept
        weight = specific_weight(step, self.total, config.warmup)

        def of_image(image: int, *views: Tensor) -> Tensor:
            anchors = slice(image * per_image, (image + 1) * per_image)
            agnostic = hidden_positives(plain, plain_bars, anchors)
            specific = hidden_positives(momentum, momentum_bars, anchors)
            pairs = Pairs(anchors, agnostic, specific, kept, weight)
            return torch.stack(
                [contrastive_loss(view, pairs, temperature=config.temperature) for view in views]
            ).mean()

        # else all images' similarities stay in memory until the gradient is computed
        if count * kept.numel() > RECOMPUTE_FROM:
            parts = [
                checkpoint(of_image, image, *views, use_reentrant=False) for image in range(count)
            ]
        else:
            parts = [of_image(image, *views) for image in range(count)]
        return torch.stack(parts).mean()


@torch.no_grad()
def update_momentum(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """Parameters of the follower become momentum times themselves plus the rest of the leader's."""
    for own, other in zip(follower.parameters(), leader.parameters(), strict=True):
        own.lerp_(other, 1.0 - momentum)


def draw_pool(crops: TrainingCrops, size: int, seed: int) -> Tensor:
    """Features at random places of random crops, one place per crop; with fewer crops than places,
    several.

    Args:
        crops: The training crops.
        size: M.
        seed: Of the draw.

    Returns:
        (M, C) float32.
    """
    draws = generator(seed, Draw.POOL, 0)
    rounds = -(-size // len(crops))
    chosen = torch.cat([torch.randperm(len(crops), generator=draws) for _ in range(rounds)])[:size]
    uniform = torch.rand(size, generator=draws)
    order = chosen.argsort(stable=True)  # every crop is read once
    found = []
    for part in torch.split(order, _POOL_BATCH):
        unique, positions = torch.unique(chosen[part], return_inverse=True)
        tokens = crops.features(unique.tolist()).flatten(2)
        places = (uniform[part] * tokens.shape[2]).long().to(tokens.device)
        found.append(tokens[positions.to(tokens.device), :, places])
    return torch.cat(found)


def _dropped(values: Tensor, probability: float) -> Tensor:
    """(N, C, h, w) with whole channels dropped, as the branches of the head do."""
    return F.dropout2d(values, probability)


def _tokens(values: Tensor) -> Tensor:
    """(N, C, h, w) to (N * h * w, C) unit vectors."""
    return F.normalize(values.permute(0, 2, 3, 1).flatten(0, 2), dim=1)
