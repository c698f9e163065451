"""Vision transformers of DINO, DINOv2 and DINOv3 from the tensors of their weights file.

Sources: Dosovitskiy et al. 2021 (the transformer), Caron et al. 2021 (DINO), Oquab et al. 2024
(DINOv2: layer scale), Darcet et al. 2024 (registers), Siméoni et al. 2025 (DINOv3: rotary
positions). Position embeddings are resampled as the published code of each does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch.nn import functional as F

State = Mapping[str, torch.Tensor]

_HEAD: Final = 64
"""Channels of an attention head, in all of these networks."""
_REGISTERS: Final = ("register_tokens", "storage_tokens", "reg_token")
"""As DINOv2, DINOv3 and timm call them."""
_BASE: Final = 100.0
"""Of the periods of DINOv3's rotary positions."""
_SHIFT: Final = 0.1
"""By which the published code of DINO and DINOv2 enlarges a grid before it divides."""


def vit_features(state: State, batch: torch.Tensor) -> torch.Tensor:
    """Patch tokens of the last block after the last norm.

    Args:
        state: Tensors by key, in the layout of the official files or in timm's.
        batch: (N, 3, H', W') float32, normalised, sides multiples of the patch.

    Returns:
        (N, C, h, w) float32.
    """
    rotary = "pos_embed" not in state
    epsilon = 1e-5 if rotary else 1e-6  # of the norms
    kernel = state["patch_embed.proj.weight"]
    patches = F.conv2d(batch, kernel, state["patch_embed.proj.bias"], stride=kernel.shape[-1])
    count, dim, height, width = patches.shape
    tokens = patches.flatten(2).transpose(1, 2)
    prefix = [state["cls_token"]]
    registers = next((state[key] for key in _REGISTERS if key in state), None)
    if not rotary:
        own, grid = _positions(state, (height, width), registers is not None)
        tokens, prefix = tokens + grid, [prefix[0] + own]
    prefix += [] if registers is None else [registers]
    tokens = torch.cat([*(each.expand(count, -1, -1) for each in prefix), tokens], dim=1)
    angles = _angles(height, width) if rotary else None
    depth = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("blocks."))
    for number in range(depth):
        start = f"blocks.{number}."
        block = {key[len(start) :]: state[key] for key in state if key.startswith(start)}
        tokens = _block(block, tokens, angles, epsilon)
    tokens = F.layer_norm(tokens, (dim,), state["norm.weight"], state["norm.bias"], epsilon)
    return tokens[:, -height * width :].transpose(1, 2).reshape(count, dim, height, width)


def _block(
    weights: State, tokens: torch.Tensor, angles: torch.Tensor | None, epsilon: float
) -> torch.Tensor:
    """Attention, then a perceptron, each added to what came in, scaled per channel."""
    dim = tokens.shape[-1]

    def linear(name: str, values: torch.Tensor) -> torch.Tensor:
        return F.linear(values, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def normed(name: str, values: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = F.layer_norm(
            values, (dim,), weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon
        )
        return result

    def scale(number: int) -> torch.Tensor | float:
        keys = (f"ls{number}.gamma", f"gamma_{number}")
        return next((weights[key] for key in keys if key in weights), 1.0)

    attended = linear("attn.proj", _attention(weights, normed("norm1", tokens), angles))
    tokens = tokens + scale(1) * attended
    hidden = F.gelu(linear("mlp.fc1", normed("norm2", tokens)))
    result: torch.Tensor = tokens + scale(2) * linear("mlp.fc2", hidden)
    return result


def _attention(weights: State, tokens: torch.Tensor, angles: torch.Tensor | None) -> torch.Tensor:
    count, length, dim = tokens.shape
    joined = F.linear(tokens, weights["attn.qkv.weight"], _bias(weights, dim))
    query, key, value = joined.reshape(count, length, 3, dim // _HEAD, _HEAD).permute(2, 0, 3, 1, 4)
    if angles is not None:
        query, key = _rotated(query, angles), _rotated(key, angles)
    weighting = (query @ key.transpose(-1, -2) / math.sqrt(_HEAD)).softmax(dim=-1)
    attended: torch.Tensor = weighting @ value
    return attended.transpose(1, 2).reshape(count, length, dim)


def _bias(weights: State, dim: int) -> torch.Tensor | None:
    """Of queries, keys and values. DINOv3 masks that of the keys; timm keeps none for them."""
    if "attn.q_bias" in weights:
        return torch.cat([weights["attn.q_bias"], torch.zeros(dim), weights["attn.v_bias"]])
    bias = weights.get("attn.qkv.bias")
    if bias is None or "attn.qkv.bias_mask" not in weights:
        return bias
    return torch.cat([bias[:dim], torch.zeros(dim), bias[2 * dim :]])


def _positions(
    state: State, grid: tuple[int, int], registers: bool
) -> tuple[torch.Tensor | float, torch.Tensor]:
    """Position embeddings of the class token and of a grid of patches."""
    embedding = state["pos_embed"]
    if "reg_token" in state:  # timm has added the former to its token
        own: torch.Tensor | float = 0.0
    else:
        own, embedding = embedding[:, :1], embedding[:, 1:]
    side = math.isqrt(embedding.shape[1])
    if grid == (side, side):
        return own, embedding
    image = embedding.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if registers:
        image = F.interpolate(image, size=grid, mode="bicubic", antialias=True)
    else:
        factors = ((grid[0] + _SHIFT) / side, (grid[1] + _SHIFT) / side)
        image = F.interpolate(image, scale_factor=factors, mode="bicubic")
    return own, image.flatten(2).transpose(1, 2)


def _angles(height: int, width: int) -> torch.Tensor:
    """(h * w, head / 2) angles of DINOv3: centres of patches in -1..1, by 16 periods per axis."""
    quarter = _HEAD // 4
    periods = _BASE ** (torch.arange(quarter, dtype=torch.float32) * 2 / (_HEAD / 2))
    rows = 2 * (torch.arange(height, dtype=torch.float32) + 0.5) / height - 1
    columns = 2 * (torch.arange(width, dtype=torch.float32) + 0.5) / width - 1
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).reshape(-1, 2, 1)
    return (2 * math.pi * places / periods).flatten(1)


def _rotated(values: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn the patches' vectors: channel i with channel i + head / 2. Prefix tokens stay."""
    prefix, patches = values[:, :, : -len(angles)], values[:, :, -len(angles) :]
    first, second = patches.chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    turned = [first * cosine - second * sine, second * cosine + first * sine]
    return torch.cat([prefix, torch.cat(turned, dim=-1)], dim=2)
