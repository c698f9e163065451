"""A batch whose images are worked on by several threads, and divided between processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from primaps.compute.cores import Workers
from primaps.prototypes.sums import Item


class SharedBatch:
    """What all `Sums` have in common.

    Attributes:
        workers: Threads, of which each works on one image, and processes.
    """

    def __init__(self, workers: Workers | None = None) -> None:
        """Take the workers.

        Args:
            workers: None = the calling thread and process alone.
        """
        self.workers = workers or Workers()

    def areas(self, proposals: Sequence[Tensor], counts: Sequence[int]) -> list[Tensor]:
        """See `Sums.areas`."""

        def area(pair: tuple[Tensor, int]) -> Tensor:
            ids, count = pair
            return torch.bincount(ids.flatten(), minlength=count)

        return list(self.workers.each(area, zip(proposals, counts, strict=True)))

    def gather(self, values: Sequence[Tensor]) -> list[Tensor]:
        """See `Sums.gather`; on the CPU if there are several processes."""
        return [value for (value,) in self.workers.gather([(value,) for value in values])]

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """See `Sums.own`."""
        return self.workers.own(items)
