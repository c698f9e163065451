"""Worker processes on this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from primaps.engine.limits import Limits
from primaps.engine.orders import Finished, Order
from primaps.engine.supervisor import ONE_THREAD, Supervisor
from primaps.progress import Progress

_ENDS: Final = 5.0
"""Seconds that threads have to end when the command does."""


def workers_here(device: str) -> int:
    """Workers on this machine unless told otherwise: one per GPU, or one per core that the command
    may use.
    """
    gpus = gpus_here(device)
    if gpus:
        return gpus
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_here(device: str) -> int:
    """Number of GPUs that work is given to; 0 = it is done on the CPU."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.cuda.device_count() if device == "cuda" else 0


def run_here(
    order: Order, shards: Sequence[int], workers: int, limits: Limits, progress: Progress
) -> Iterator[Finished]:
    """Have shards worked on by processes on this machine; closing the generator ends them.

    Args:
        order: What is to be done.
        shards: Numbers of the shards.
        workers: Number of processes; on GPUs, they are shared out among them.
        limits: What one image may take.
        progress: Advances by 1 whenever an image is done.

    Raises:
        PrimapsError: If something concerns more than one image.
    """
    gpus = gpus_here(order.device)
    told: queue.SimpleQueue[Finished | int | BaseException] = queue.SimpleQueue()
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for shard in shards:
        todo.put(shard)
    supervisors = [
        Supervisor(order, limits, _environment(number, gpus), told.put)
        for number in range(min(workers, len(shards)))
    ]
    threads = [
        threading.Thread(target=_work, args=(supervisor, todo, told), daemon=True)
        for supervisor in supervisors
    ]
    for thread in threads:
        thread.start()
    left = len(shards)
    try:
        while left:
            message = told.get()
            if isinstance(message, BaseException):
                raise message
            if isinstance(message, Finished):
                left -= 1
                yield message
            else:
                progress.advance(message)
    finally:
        for supervisor in supervisors:
            supervisor.stop()
        for thread in threads:
            thread.join(_ENDS)


def _work(
    supervisor: Supervisor,
    todo: queue.SimpleQueue[int],
    told: queue.SimpleQueue[Finished | int | BaseException],
) -> None:
    """One thread: a shard after the other, until none is left."""
    try:
        while True:
            try:
                shard = todo.get_nowait()
            except queue.Empty:
                return
            before = supervisor.deaths
            told.put(Finished(shard, supervisor.do(shard), supervisor.deaths - before))
    except BaseException as error:  # noqa: BLE001 - raised by the thread that waits for results
        told.put(error)
    finally:
        supervisor.close()


def _environment(number: int, gpus: int) -> dict[str, str]:
    if not gpus:
        return dict(ONE_THREAD)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [str(gpu) for gpu in range(gpus)] if visible is None else visible.split(",")
    return {"CUDA_VISIBLE_DEVICES": names[number % gpus]}
