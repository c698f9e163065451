"""Who computes the sums over pixels and tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch

from primaps.compute.compiling.twins import Twins
from primaps.compute.cores import Workers
from primaps.prototypes.steps.plain import PlainSums
from primaps.prototypes.sums import Sums

Maker = Callable[[Workers | None], Sums]


def _compiled() -> Maker:
    from primaps.prototypes.steps.compiled import CompiledSums

    return CompiledSums


PATHS: Final = Twins[Maker](PlainSums, _compiled, "Prototypes are fitted")
"""Who makes the sums; ``PATHS.plain_only()`` forces the plain path."""


def sums_on(device: torch.device, workers: Workers | None = None) -> Sums:
    """Sums by compiled loops on the CPU if they can be had, by plain torch otherwise.

    Args:
        device: Where features and prototypes are.
        workers: Threads and processes; None = the calling ones.
    """
    return PATHS.on(device)(workers)
