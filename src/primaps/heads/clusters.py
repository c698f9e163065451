"""Cluster centres of a code: what turns the output of a trained head into labels (the cluster probe
of STEGO and HP).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ClusterCentres(nn.Module):
    """Centres of cosine k-means by gradient descent.

    Attributes:
        centres: (K, D) float32, any length.
    """

    def __init__(self, num_clusters: int, dim: int) -> None:
        """Draw centres from the standard normal distribution with the global generator.

        Args:
            num_clusters: K.
            dim: D.
        """
        super().__init__()
        self.centres = nn.Parameter(torch.randn(num_clusters, dim))

    def forward(self, code: Tensor) -> Tensor:
        """Cosine of every token to every centre.

        Args:
            code: (N, D, h, w) float.

        Returns:
            (N, K, h, w).
        """
        return torch.einsum(
            "kd,ndhw->nkhw", F.normalize(self.centres, dim=1), F.normalize(code, dim=1)
        )

    def loss(self, code: Tensor) -> Tensor:
        """Minus the mean cosine to the closest centre; no gradient reaches the code."""
        return -self.forward(code.detach()).amax(1).mean()
