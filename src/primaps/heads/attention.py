"""Which tokens of an image attend to which: the last self-attention of a vision transformer, or
what stands in for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from primaps.types import FeatureExtractor

SIMILARITY_TEMPERATURE: Final = 0.1
"""Of the softmax over cosines that stands in for attention."""


def has_attention(backbone: FeatureExtractor) -> bool:
    """Whether the last block's attention can be computed: a vision transformer of timm without
    rotary position embedding.
    """
    return _last_attention(backbone) is not None


@torch.no_grad()
def features_and_attention(backbone: FeatureExtractor, batch: Tensor) -> tuple[Tensor, Tensor]:
    """Features of a batch, and how much every token attends to every other one in the last block.

    The attention is softmax(q k / sqrt(d)) over all tokens; prefix tokens are removed after the
    softmax, so that rows add up to less than 1, and heads are averaged (HP, Seong et al. 2023).
    timm's fused attention does not give it out, so it is computed from the queries and keys of the
    last block.

    A backbone without such attention (`mini`, convolutional networks, rotary embeddings) gets the
    softmax of the cosines of its own features over a temperature of 0.1 instead. This is ours: HP
    knows transformers only.

    Args:
        backbone: Frozen.
        batch: (N, 3, H', W') preprocessed images.

    Returns:
        Features (N, C, h, w) and attention (N, h * w, h * w), float32, queries in rows.
    """
    attention = _last_attention(backbone)
    if attention is None:
        features = backbone.forward(batch)
        return features, self_similarity(features)
    with _recorded(attention.qkv) as outputs:
        features = backbone.forward(batch)
    probabilities = _probabilities(attention, outputs[-1].float())
    tokens = features.shape[2] * features.shape[3]
    return features, probabilities[:, -tokens:, -tokens:].to(features.device)


def self_similarity(features: Tensor) -> Tensor:
    """Softmax of the cosines between all tokens of an image.

    Args:
        features: (N, C, h, w) float.

    Returns:
        (N, h * w, h * w) float32; rows add up to 1.
    """
    unit = F.normalize(features.flatten(2).float(), dim=1)
    return (unit.transpose(1, 2) @ unit / SIMILARITY_TEMPERATURE).softmax(2)


def _last_attention(backbone: FeatureExtractor) -> Any:
    """The attention module of the last block if it is timm's plain one, else None."""
    from timm.models.vision_transformer import Attention, VisionTransformer  # type: ignore[attr-defined]

    model = getattr(backbone, "model", None)
    if not isinstance(model, VisionTransformer):
        return None
    attention = getattr(model.blocks[-1], "attn", None)
    # Not a subclass: those change how queries and keys are made.
    return attention if type(attention) is Attention else None


@contextmanager
def _recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer gives out to this thread; other threads may use the same backbone at the
    same time.
    """
    outputs: list[Tensor] = []
    mine = threading.get_ident()

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        if threading.get_ident() == mine:
            outputs.append(output)

    handle = layer.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def _probabilities(attention: Any, qkv: Tensor) -> Tensor:
    """(N, T, T) attention probabilities, mean over the heads, from (N, T, 3 * C) queries, keys and
    values.
    """
    count, tokens, _ = qkv.shape
    query, key, _ = (
        qkv.reshape(count, tokens, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    )
    query, key = attention.q_norm(query), attention.k_norm(key)
    # One head at a time: all heads of a large image would take several times the memory of the
    # features.
    total = query.new_zeros(count, tokens, tokens)
    for head in range(attention.num_heads):
        total += (query[:, head] * attention.scale @ key[:, head].transpose(1, 2)).softmax(2)
    mean: Tensor = total / attention.num_heads
    return mean
