"""EfficientNet-Lite from the tensors of its weights file, in their order.

Source: Tan & Le 2019 (EfficientNet), and TensorFlow's description of the Lite form: no squeeze and
excitation, ReLU6, stem and head of fixed width. Padding is TensorFlow's "same".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch.nn import functional as F

_STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)
"""Of the first block of each stage; a stage ends where the number of channels changes."""
_TAKEN: Final = (2, 4, 6)
"""Stages that end the strides 8, 16 and 32."""
_EPSILON: Final = 1e-3


def efficientnet_features(state: Mapping[str, torch.Tensor], batch: torch.Tensor) -> torch.Tensor:
    """The last maps of strides 8, 16 and 32 as unit vectors, joined on the grid of stride 8.

    Args:
        state: Tensors in the order of the network, under any names.
        batch: (N, 3, H', W') float32, normalised, sides multiples of 32.

    Returns:
        (N, C, h, w) float32.
    """
    tensors = iter([values for values in state.values() if values.ndim])  # no counters
    values = F.relu6(_normed(_convolved(batch, next(tensors), stride=2), tensors))
    stages: list[torch.Tensor] = []
    channels = 0
    for _ in range(sum(_is_depthwise(each) for each in state.values())):
        kernel = next(tensors)
        inner = values
        if not _is_depthwise(kernel):
            inner = F.relu6(_normed(_convolved(inner, kernel), tensors))
            kernel = next(tensors)
        # which stage it is says the kernel after the norm
        norm = [next(tensors) for _ in range(4)]
        project = next(tensors)
        first = project.shape[0] != channels
        if first and channels:
            stages.append(values)
        stride = _STRIDES[len(stages)] if first else 1
        inner = _convolved(inner, kernel, stride=stride, groups=len(kernel))
        inner = F.relu6(_normed(inner, iter(norm)))
        inner = _normed(_convolved(inner, project), tensors)
        values = inner if first else values + inner
        channels = project.shape[0]
    stages.append(values)
    units = [F.normalize(stages[number], dim=1) for number in _TAKEN]
    grid = units[0].shape[2:]
    return torch.cat(
        [F.interpolate(unit, grid, mode="bilinear", align_corners=False) for unit in units], dim=1
    )


def _is_depthwise(kernel: torch.Tensor) -> bool:
    return kernel.ndim == 4 and kernel.shape[1] == 1 and kernel.shape[-1] > 1


def _convolved(
    values: torch.Tensor, kernel: torch.Tensor, stride: int = 1, groups: int = 1
) -> torch.Tensor:
    """Padded so that the result has ceil(side / stride) cells; an odd pixel more at the end."""
    pads = []
    for side, extent in zip(values.shape[2:], kernel.shape[2:], strict=True):
        total = max((-(-side // stride) - 1) * stride + extent - side, 0)
        pads.append((total // 2, total - total // 2))
    (top, bottom), (left, right) = pads
    padded = F.pad(values, (left, right, top, bottom))
    return F.conv2d(padded, kernel, stride=stride, groups=groups)


def _normed(values: torch.Tensor, tensors: Iterator[torch.Tensor]) -> torch.Tensor:
    weight, bias, mean, variance = (next(tensors)[:, None, None] for _ in range(4))
    return (values - mean) / (variance + _EPSILON).sqrt() * weight + bias
