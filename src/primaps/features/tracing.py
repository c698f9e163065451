"""A backbone in the form that exporters of torch can follow: no caches, no branches on sizes.

Position embeddings are resampled by matrices that are made of the grid's size in the graph itself,
so that one graph serves inputs of all sizes; they equal `primaps.features.position`.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from functools import partial
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F

from primaps.errors import BackboneError
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import PositionRule, list_backbones
from primaps.features.texture import TextureBackbone
from primaps.features.timm_backbone import TimmBackbone

_PLAIN_BEND: Final = -0.75
"""Constant of the cubic kernel of torch without antialiasing, after Keys 1981."""
_ANTIALIASED_BEND: Final = -0.5
_OFFSET: Final = 0.1  # of the hub code, see `primaps.features.position`


class TraceableBackbone(TimmBackbone):
    """A copy of a backbone on the CPU whose `forward` is computation alone."""

    def __init__(self, backbone: TimmBackbone) -> None:
        """Copy the backbone.

        Args:
            backbone: What is copied; stays as it is.
        """
        spec = dataclasses.replace(backbone.spec, position=None)
        model: Any = copy.deepcopy(backbone.model).cpu()
        _fix_same_padding(model)
        if getattr(model, "dynamic_img_size", False) and _is_plain_transformer(model):
            rule: PositionRule = backbone.spec.position or "dinov2_reg"  # that of timm itself
            model._pos_embed = partial(_with_positions, model, rule)
        super().__init__(spec, model, "", backbone.levels)
        self.freeze()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) features of a (N, 3, H', W') float32 batch."""
        return self._features(batch)


class TraceableTexture(TextureBackbone):
    """`texture` on the CPU, whose `forward` is computation alone."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) features of a (N, 3, H', W') float32 batch."""
        return self._features(batch)


def traceable(backbone: FrozenBackbone) -> TraceableBackbone | TraceableTexture:
    """A copy of a backbone that exporters can follow.

    Raises:
        BackboneError: If the course of its computation depends on the size of the input.
    """
    if isinstance(backbone, TextureBackbone):
        return TraceableTexture(backbone.spec).freeze()
    if not isinstance(backbone, TimmBackbone):
        raise cannot_be_traced(backbone.name, "its computation depends on the input's size")
    return TraceableBackbone(backbone)


def cannot_be_traced(name: str, reason: str) -> BackboneError:
    """The error for a backbone that has no portable form.

    Args:
        name: Of the backbone.
        reason: Why, in words.
    """
    able = [spec.name for spec in list_backbones() if spec.implementation in {"timm", "texture"}]
    return BackboneError(
        f"Expected a backbone that can be exported, but got {name!r}: {reason}. Those that can:"
        f" {', '.join(able)}, and most timm:<model of timm>. Fit with one of them."
    )


def position_matrix(count: int, side: int, rule: PositionRule, exact: torch.Tensor) -> torch.Tensor:
    """Resampling along one axis as a matrix.

    Args:
        count: Cells of the new grid along the axis; may be symbolic.
        side: Cells of the known grid along it.
        rule: As in `primaps.features.position.resample_position`.
        exact: () bool: both grids are the same, and nothing shall change.

    Returns:
        (count, side) float32; its product with the known embeddings gives those of the new grid.
    """
    places = torch.arange(count, dtype=torch.float32) + 0.5
    known = torch.arange(side, dtype=torch.float32)
    if rule == "dinov2_reg":
        scale = side / torch.ones(count).sum()
        shrink = (1.0 / scale).clamp(max=1.0)
        weights = _cubic((known + 0.5 - (places * scale)[:, None]) * shrink, _ANTIALIASED_BEND)
        return weights / weights.sum(1, keepdim=True)
    scale = side / (torch.ones(count).sum() + torch.where(exact, 0.0, _OFFSET))
    source = places * scale - 0.5
    first = source.floor()
    taps = first[:, None] + torch.arange(-1.0, 3.0)
    weights = _cubic(source[:, None] - taps, _PLAIN_BEND)
    inside = taps.clamp(0.0, side - 1.0)  # what lies outside repeats the border
    return (weights[:, :, None] * (inside[:, :, None] == known).float()).sum(1)


def _cubic(distance: torch.Tensor, bend: float) -> torch.Tensor:
    """The cubic convolution kernel (Keys 1981)."""
    x = distance.abs()
    near = ((bend + 2.0) * x - (bend + 3.0)) * x * x + 1.0
    far = ((bend * x - 5.0 * bend) * x + 8.0 * bend) * x - 4.0 * bend
    return torch.where(x <= 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _is_plain_transformer(model: nn.Module) -> bool:
    from timm.models.vision_transformer import VisionTransformer

    return (
        isinstance(model, VisionTransformer)
        and type(model)._pos_embed is VisionTransformer._pos_embed  # others have further tokens
        and model.pos_embed is not None
    )


def _with_positions(model: Any, rule: PositionRule, tokens: torch.Tensor) -> torch.Tensor:
    """What `_pos_embed` of timm's vision transformers does.

    Args:
        model: The transformer.
        rule: How its embeddings are resampled.
        tokens: (N, h, w, C) of the patches.

    Returns:
        (N, prefix tokens + h * w, C).
    """
    count, height, width, dim = tokens.shape
    given = [token for token in (model.cls_token, model.reg_token) if token is not None]
    prefix = torch.cat([token.expand(count, -1, -1) for token in given], 1) if given else None
    embedding = model.pos_embed
    if not model.no_embed_class and prefix is not None:
        prefix = prefix + embedding[:, : model.num_prefix_tokens]
        embedding = embedding[:, model.num_prefix_tokens :]
    side = math.isqrt(embedding.shape[1])
    rows, columns = torch.ones(height).sum(), torch.ones(width).sum()
    exact = (rows == side) & (columns == side)
    down = position_matrix(height, side, rule, exact)
    across = position_matrix(width, side, rule, exact)
    known = embedding.reshape(side, side, dim)
    grid = torch.einsum("hs,swc->hwc", down, known)
    grid = torch.einsum("wt,htc->hwc", across, grid)
    patches = (tokens + grid).flatten(1, 2)
    return patches if prefix is None else torch.cat([prefix, patches], dim=1)


def _fix_same_padding(model: nn.Module) -> None:
    """Padding as TensorFlow counts it depends on the input's size only where a stride does not
    divide it; inputs here are multiples of all strides.
    """
    from timm.layers.conv2d_same import Conv2dSame

    for name, layer in list(model.named_modules()):
        if isinstance(layer, Conv2dSame):
            parent = model.get_submodule(name.rpartition(".")[0])
            setattr(parent, name.rpartition(".")[2], _FixedPadding(layer))


class _FixedPadding(nn.Module):
    """A convolution with padding of a fixed width."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.stride, self.dilation, self.groups = layer.stride, layer.dilation, layer.groups
        self.padding: list[int] = []
        for axis in (1, 0):  # the last one first, as F.pad takes them
            reach = (layer.kernel_size[axis] - 1) * layer.dilation[axis] + 1
            total = max(reach - layer.stride[axis], 0)
            self.padding += [total // 2, total - total // 2]

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        padded = F.pad(batch, self.padding)
        return F.conv2d(padded, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
