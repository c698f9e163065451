"""Who computes the sums over pixels and tokens."""

from __future__ import annotations

from functools import cache

import torch

from primaps.compute.compiling.loading import compiled_module
from primaps.compute.cores import Workers
from primaps.prototypes.steps.plain import PlainSums
from primaps.prototypes.steps.protocol import Sums


def sums_on(device: torch.device, workers: Workers | None = None) -> Sums:
    """Sums by compiled loops on the CPU if they can be had, by plain torch otherwise.

    Args:
        device: Where features and prototypes are.
        workers: Threads and processes; None = the calling ones.
    """
    if device.type == "cpu" and _loops_work():
        from primaps.prototypes.steps.compiled import CompiledSums

        return CompiledSums(workers)
    return PlainSums(workers)


@cache
def _loops_work() -> bool:
    module, _ = compiled_module("primaps.prototypes.steps.compiled", "Prototypes are fitted")
    return module is not None
