"""Images in parallel over the cores of the processor."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import torch

from primaps.data.reading import count_pixels
from primaps.pipeline.failures import reported
from primaps.run import Run
from primaps.types import Failure, ImageFile

LARGE_IMAGE: Final = 12_000_000
"""Pixels in the file."""


MAX_WORKERS: Final = 16
"""Images worked on at the same time at most: each takes memory, and the interpreter's lock is shared."""


def for_each_image(
    run: Run, images: Sequence[ImageFile], stage: str, work: Callable[[ImageFile], None], alone_from: int = LARGE_IMAGE
) -> None:
    """Do one thing to every image; an image that cannot be used is reported and skipped.

    On a CPU every image is worked on by one thread, as many images at a time as there are cores: no thread waits for another
    one's part, and results do not depend on the number of cores. On other devices images follow one another.

    Args:
        run: Whose failures are noted, in the order of the images, and whose progress advances.
        images: The images.
        stage: Name of the stage in the list of failures.
        work: Called once per image; thread-safe.
        alone_from: Pixels of an image from which on no other one is worked on beside it, so that memory does not grow with the
            number of cores.
    """

    def attempt(image: ImageFile) -> list[Failure]:
        failures: list[Failure] = []
        with reported(failures, image, stage):
            work(image)
        return failures

    def finish(done: Future[list[Failure]]) -> None:
        run.failures.extend(done.result())
        run.progress.advance()

    on_cpu = run.backbone.device.type == "cpu"
    workers = max(1, min(usable_cores(), len(images))) if on_cpu else 1
    with _one_thread_each(on_cpu), ThreadPoolExecutor(workers, "image") as pool:
        pending: deque[Future[list[Failure]]] = deque()
        try:
            for image in images:
                alone = workers > 1 and count_pixels(image.path) > alone_from
                while pending and (alone or len(pending) >= 2 * workers):
                    finish(pending.popleft())
                pending.append(pool.submit(attempt, image))
                if alone:
                    finish(pending.popleft())
            while pending:
                finish(pending.popleft())
        finally:
            for future in pending:
                future.cancel()


def usable_cores() -> int:
    """Cores that this process may use, at most `MAX_WORKERS`; ``OMP_NUM_THREADS`` lowers the number, as it does for torch."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(allowed, torch.get_num_threads(), MAX_WORKERS))


@contextmanager
def _one_thread_each(wanted: bool) -> Iterator[None]:
    threads = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
