"""A model of timm as a frozen backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from primaps.errors import BackboneError
from primaps.features.extractor import FrozenBackbone
from primaps.features.levels import Level, input_multiple, join_levels, levels_text, offered_levels
from primaps.features.position import resample_position
from primaps.features.registry import BackboneSpec, PositionRule


class TimmBackbone(FrozenBackbone):
    """A model of timm as a frozen backbone.

    Features are the patch tokens of the last block after the final norm (Caron et al. 2021, Oquab
    et al. 2024), or several levels of a hierarchical model (`primaps.features.levels`). Position
    embeddings of DINO and DINOv2 follow the official hub code.

    Attributes:
        levels: What features are made of, finest first; nothing where the last level is taken as
            the model gives it.
    """

    def __init__(
        self,
        spec: BackboneSpec,
        model: nn.Module,
        weights_sha256: str,
        levels: tuple[Level, ...] = (),
    ) -> None:
        """Wrap a model whose weights are loaded.

        Args:
            spec: Registry entry; for ``timm:`` models completed from the model itself.
            model: timm model without classifier.
            weights_sha256: Checksum of the weights.
            levels: What features are made of; the model must have them.
        """
        super().__init__(spec)
        self.levels = levels
        if levels:
            self.input_multiple = input_multiple(levels)
        self.model: Any = model
        self._weights_sha256 = weights_sha256
        self._positions: dict[tuple[int, int], torch.Tensor] = {}

    def describe(self) -> Mapping[str, Any]:
        """As `FrozenBackbone.describe`, with the timm model, the SHA-256 of the weights, and the
        levels if there are any.
        """
        levels = {"levels": levels_text(self.levels)} if self.levels else {}
        return {
            **super().describe(),
            "timm_name": self.spec.timm_name,
            "weights_sha256": self._weights_sha256,
            **levels,
        }

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        if self.levels:
            return self._joined_levels(batch)
        if self.spec.position is None:
            return self._intermediates(batch, 1)[-1]
        return self._hub_tokens(batch, self.spec.position)

    def _joined_levels(self, batch: torch.Tensor) -> torch.Tensor:
        offered = offered_levels(self.model.feature_info)
        # the order in which the model gives them
        order = sorted(self.levels, key=lambda level: offered[level.stride].index)
        maps = self._intermediates(batch, [offered[level.stride].index for level in order])
        by_level = dict(zip(order, maps, strict=True))
        size = (batch.shape[2], batch.shape[3])
        return join_levels([by_level[level] for level in self.levels], self.levels, size, self.name)

    def _intermediates(self, batch: torch.Tensor, indices: int | list[int]) -> list[torch.Tensor]:
        """Levels by index, or so many of the last ones, NCHW."""
        try:
            levels: list[torch.Tensor] = self.model.forward_intermediates(
                batch,
                indices=indices,
                norm=True,
                stop_early=True,
                output_fmt="NCHW",
                intermediates_only=True,
            )
        # whatever a model says to a size that it does not know
        except (AssertionError, IndexError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
                raise
            reason = str(error).strip().partition("\n")[0]
            raise BackboneError(
                f"Expected {self.name!r} to accept inputs of {batch.shape[2]} x {batch.shape[3]}"
                f" pixels, but the model refuses: {reason} Choose a model that accepts any input"
                " size."
            ) from error
        return levels

    def _hub_tokens(self, batch: torch.Tensor, rule: PositionRule) -> torch.Tensor:
        """The official forward: CLS and registers are prefix tokens without, or with their own,
        position embedding.
        """
        model = self.model
        tokens = model.patch_embed(batch)  # (N, h, w, C)
        count, height, width, _ = tokens.shape
        prefix = (
            [model.cls_token] if model.reg_token is None else [model.cls_token, model.reg_token]
        )
        if not model.no_embed_class:
            prefix[0] = prefix[0] + model.pos_embed[:, :1]
        patches = tokens.flatten(1, 2) + self._position((height, width), rule)
        sequence = torch.cat([*(token.expand(count, -1, -1) for token in prefix), patches], dim=1)
        for block in model.blocks:
            sequence = block(sequence)
        features: torch.Tensor = model.norm(sequence)[:, model.num_prefix_tokens :]
        return features.transpose(1, 2).reshape(count, -1, height, width)

    def _position(self, grid: tuple[int, int], rule: PositionRule) -> torch.Tensor:
        cached = self._positions.get(grid)
        if cached is None or cached.device != self.device:
            embedding = self.model.pos_embed
            cached = resample_position(
                embedding if self.model.no_embed_class else embedding[:, 1:], grid, rule
            )
            # One entry: folders are mostly of one format, and a cache of all grids would grow
            # without bound.
            self._positions = {grid: cached}
        return cached
