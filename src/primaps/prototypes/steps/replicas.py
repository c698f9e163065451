"""Differentiable sums over processes: every process holds the same prototypes, and its own part of
the images of a batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from primaps.compute.cores import Workers


def replicated(prototypes: Tensor, workers: Workers) -> Tensor:
    """The prototypes themselves; their gradient becomes the sum of the gradients of all processes,
    in the order of ranks.

    Args:
        prototypes: Equal on all processes.
        workers: Of the group of processes.
    """
    if workers.group.size == 1:
        return prototypes
    result: Tensor = _Replicated.apply(prototypes, workers)
    return result


def over_processes(value: Tensor, workers: Workers) -> Tensor:
    """Sum of one value per process, in the order of ranks; the gradient reaches this process's own
    value.

    Args:
        value: Of one shape on all processes.
        workers: Of the group of processes.
    """
    if workers.group.size == 1:
        return value
    result: Tensor = _OverProcesses.apply(value, workers)
    return result


def _summed(value: Tensor, workers: Workers) -> Tensor:
    values = [tensors["value"] for tensors in workers.group.exchange({"value": value.detach()})]
    return torch.stack(values).sum(0).to(value.device)


class _Replicated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, prototypes: Tensor, workers: Workers) -> Tensor:
        ctx.workers = workers
        return prototypes.view_as(prototypes)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _summed(gradients[0], ctx.workers), None


class _OverProcesses(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, value: Tensor, workers: Workers) -> Tensor:
        return _summed(value, workers)

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
