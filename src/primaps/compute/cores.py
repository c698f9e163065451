"""Work on images in parallel over the cores of the processor, each image by one thread, and over
processes.

No thread waits for another one's part of the same image, and results do not depend on the number of
cores.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import torch

from primaps.compute.group import Alone, Group, gather, own_part

MAX_WORKERS: Final = 16
"""Images worked on at the same time at most: each takes memory, and the interpreter's lock is
shared.
"""

CHUNK: Final = 8
"""Images per process between two exchanges of what `Workers.shared` makes of them."""

_GUARD: Final = threading.Lock()
_BEFORE: Final[list[int]] = []
"""Threads per operation before each who wants one at present, the first of them first."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Cores that this process may use, at most `MAX_WORKERS`; ``OMP_NUM_THREADS`` lowers the
    number, as it does for torch.
    """
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    )
    return max(1, min(allowed, torch.get_num_threads(), MAX_WORKERS))


@contextmanager
def one_thread_each(wanted: bool = True) -> Iterator[None]:
    """Have torch use one thread per operation in threads that start from now on; nothing changes if
    it is not ``wanted``.
    """
    if not wanted:
        yield
        return
    with _GUARD:
        _BEFORE.append(torch.get_num_threads())
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _GUARD:
            # what is set holds for all threads to come: others may still want one
            before = _BEFORE[0]
            _BEFORE.pop()
            torch.set_num_threads(1 if _BEFORE else before)


class Workers:
    """Threads that work on one image each, with memory that they keep from one image to the next.

    Args:
        pool: The threads; None = the calling thread does it all.
        count: Number of threads in the pool.
        group: The processes of which this one works on a part of the images; None = it is alone.
    """

    def __init__(
        self, pool: ThreadPoolExecutor | None = None, count: int = 1, group: Group | None = None
    ) -> None:
        self.group = group or Alone()
        self._pool = pool
        self._count = count
        self._local = threading.local()

    def each(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Results in the order of the items, of which a few are worked on ahead.

        Args:
            function: Called once per item; thread-safe.
            items: What to work on.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                if len(pending) >= 4 * self._count:
                    yield pending.popleft().result()
                pending.append(self._pool.submit(function, item))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """The part of a batch that this process works on; all of it if it is alone."""
        return own_part(self.group, items)

    def gather(self, rows: Sequence[tuple[torch.Tensor, ...]]) -> list[tuple[torch.Tensor, ...]]:
        """Some tensors per image of a batch, in its order, from some tensors per image of this
        process's own part.
        """
        return gather(self.group, rows)

    def shared(
        self, function: Callable[[Item], tuple[torch.Tensor, ...]], items: Sequence[Item]
    ) -> Iterator[tuple[torch.Tensor, ...]]:
        """As `each`, with the items divided between the processes: each of them gets all results,
        in the order of the items.
        """
        chunk = len(items) if self.group.size == 1 else CHUNK * self.group.size
        for start in range(0, len(items), max(1, chunk)):
            results = self.each(function, self.own(items[start : start + chunk]))
            yield from results if self.group.size == 1 else self.gather(list(results))

    def scratch(self, *shape: int) -> torch.Tensor:
        """Contiguous float32 tensor on the CPU with arbitrary content; it is the calling thread's
        until that asks again.
        """
        size = math.prod(shape)
        memory: torch.Tensor | None = getattr(self._local, "memory", None)
        if memory is None or memory.numel() < size:
            memory = self._local.memory = torch.empty(size)
        return memory[:size].view(shape)


@contextmanager
def workers(wanted: bool = True, group: Group | None = None) -> Iterator[Workers]:
    """One thread per core while the block runs; if not ``wanted``, the calling thread, which uses
    torch as it did before.
    """
    count = usable_cores() if wanted else 1
    with one_thread_each(wanted):
        if count == 1:
            yield Workers(group=group)
            return
        with ThreadPoolExecutor(count, "image") as pool:
            yield Workers(pool, count, group)
