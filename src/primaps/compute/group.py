"""Several processes that take the same steps: how they divide images, and how each of them comes to
know the results of all.

A process works on a part of the images, in their order, and receives what all processes made of all
images, in that order. What is computed from that is the same on every process, and the same as one
process alone computes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from torch import Tensor

Item = TypeVar("Item")


class Group(Protocol):
    """Processes that take the same steps at the same time."""

    @property
    def rank(self) -> int:
        """Number of this process, 0..size - 1; only process 0 writes files."""
        ...

    @property
    def size(self) -> int:
        """Number of processes."""
        ...

    def exchange(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Give tensors to all processes and receive theirs; every process has to call it.

        Args:
            tensors: Of any names, shapes and dtypes, which need not be those of other processes.

        Returns:
            Per process, in the order of ranks, what it gave, on the CPU.

        Raises:
            ProcessError: If another process does not answer.
        """
        ...


class Alone:
    """The group of a single process."""

    rank, size = 0, 1

    def exchange(self, tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """What was given."""
        return [dict(tensors)]


def own_part(group: Group, items: Sequence[Item]) -> Sequence[Item]:
    """The items that this process works on: neighbours, as many as on every other process, or one
    more or less.
    """
    start, end = (len(items) * rank // group.size for rank in (group.rank, group.rank + 1))
    return items[start:end]


def gather(group: Group, rows: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """What all processes made of all items.

    Args:
        group: The processes.
        rows: Per item of the `own_part` some tensors.

    Returns:
        Per item some tensors, in the order of all items; on the CPU if there are several processes.
    """
    if group.size == 1:
        return list(rows)
    given = {
        f"{item}.{place}": tensor
        for item, row in enumerate(rows)
        for place, tensor in enumerate(row)
    }
    found: list[tuple[Tensor, ...]] = []
    for tensors in group.exchange(given):
        places = sorted(
            (int(item), int(place)) for item, place in (name.split(".") for name in tensors)
        )
        for item, members in itertools.groupby(places, key=lambda pair: pair[0]):
            found.append(tuple(tensors[f"{item}.{place}"] for _, place in members))
    return found
