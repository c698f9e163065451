"""The segmentation head that STEGO and HP train on top of frozen backbone features."""

from __future__ import annotations

import torch
from torch import nn

from primaps.errors import ConfigError

DROPOUT = 0.1
"""Share of the channels that a branch does not see in training."""


class ProjectionHead(nn.Module):
    """Code of a feature map: a linear branch plus a non-linear one (STEGO, Hamilton et al. 2022,
    section 3; HP uses the same).

    Both branches are 1 x 1 convolutions. Each drops whole channels (Dropout2d) of its own in
    training mode; in evaluation mode nothing is dropped.

    Attributes:
        in_channels: C, channels of the backbone.
        dim: D, channels of the code.
        linear: C -> D.
        hidden: C -> C, first half of the non-linear branch; None without that branch.
        output: C -> D, its second half, after the ReLU; None without that branch.
    """

    def __init__(
        self, in_channels: int, dim: int, nonlinear: bool = True, dropout: float = DROPOUT
    ) -> None:
        """Draw initial weights from the global generator, as PyTorch does for convolutions.

        Args:
            in_channels: C.
            dim: D.
            nonlinear: With the non-linear branch.
            dropout: Probability with which a channel is dropped in training, in [0, 1).

        Raises:
            ConfigError: If a number is out of range.
        """
        super().__init__()
        if in_channels < 1 or dim < 1:
            raise ConfigError(
                f"Expected in_channels and dim to be 1 or more, but got {in_channels} and {dim}."
            )
        if not 0.0 <= dropout < 1.0:
            raise ConfigError(
                f"Expected dropout to be a probability from 0 to below 1, but got {dropout}."
            )
        self.in_channels = in_channels
        self.dim = dim
        self.dropout = nn.Dropout2d(dropout)
        self.linear = nn.Conv2d(in_channels, dim, 1)
        self.hidden = nn.Conv2d(in_channels, in_channels, 1) if nonlinear else None
        self.output = nn.Conv2d(in_channels, dim, 1) if nonlinear else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Code of backbone features.

        Args:
            features: (N, C, h, w) float32.

        Returns:
            (N, D, h, w) float32. In training mode the two branches draw their dropped channels
            apart from each other.
        """
        return self.code(self.dropout(features), self.dropout(features))

    def code(self, for_linear: torch.Tensor, for_hidden: torch.Tensor) -> torch.Tensor:
        """Code of features from which the caller dropped what it wanted to.

        Args:
            for_linear: (N, C, h, w) float32, what the linear branch sees.
            for_hidden: (N, C, h, w) float32, what the non-linear branch sees; without that branch
                not looked at.

        Returns:
            (N, D, h, w) float32.
        """
        code: torch.Tensor = self.linear(for_linear)
        if self.hidden is not None and self.output is not None:
            code = code + self.output(torch.relu(self.hidden(for_hidden)))
        return code

    @torch.no_grad()
    def absorb_scale(self, scale: float) -> None:
        """Change the weights so that features give the code that ``scale`` times them gave before.

        Args:
            scale: What features were multiplied by until now.
        """
        for layer in (self.linear, self.hidden):
            if layer is not None:
                layer.weight.mul_(scale)
