"""Images in parallel over the cores of the processor."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Final, TypeVar

from primaps.compute.cores import one_thread_each, usable_cores
from primaps.data.reading import count_pixels
from primaps.pipeline.failures import refuse_more, reported
from primaps.runs.run import Run
from primaps.runs.watching import watched
from primaps.types import Failure, ImageFile

LARGE_IMAGE: Final = 12_000_000
"""Pixels in the file."""

Result = TypeVar("Result")


def for_each_image(
    run: Run,
    images: Sequence[ImageFile],
    stage: str,
    work: Callable[[ImageFile], None],
    alone_from: int = LARGE_IMAGE,
) -> None:
    """Do one thing to every image; an image that cannot be used is reported and skipped.

    On a CPU every image is worked on by one thread, as many images at a time as there are cores: no
    thread waits for another one's part, and results do not depend on the number of cores. On other
    devices images follow one another.

    Args:
        run: Whose failures are noted, in the order of the images, and whose progress advances.
        images: The images.
        stage: Name of the stage in the list of failures.
        work: Called once per image; thread-safe.
        alone_from: Pixels of an image from which on no other one is worked on beside it, so that
            memory does not grow with the number of cores.
    """
    made: dict[str, list[Failure]] = {}

    def attempt(image: ImageFile) -> str:
        failures: list[Failure] = []
        with reported(failures, image, stage), watched(run.watch, image):
            work(image)
        made[image.name] = failures
        return image.name

    on_cpu = run.backbone.device.type == "cpu"
    workers = max(1, min(usable_cores(), len(images))) if on_cpu else 1
    alone = alone_from if workers > 1 else None
    try:
        with (
            one_thread_each(on_cpu),
            ThreadPoolExecutor(workers, "image") as pool,
            closing(in_order(pool, attempt, images, 2 * workers, alone)) as results,
        ):
            for name in results:
                run.fail(made.pop(name))
                refuse_more(run.failures, run.most_failures)
                run.progress.advance()
    finally:  # what was in work when it was stopped has ended by now
        for image in images if made else ():
            run.fail(made.pop(image.name, []))


def in_order(
    pool: ThreadPoolExecutor,
    function: Callable[[ImageFile], Result],
    images: Sequence[ImageFile],
    ahead: int,
    alone_from: int | None,
) -> Generator[Result, None, None]:
    """Results in the order of the images; what is still to be done when the generator is closed is
    given up.

    Args:
        pool: The threads.
        function: Called once per image; thread-safe.
        images: The images.
        ahead: How many images are worked on, or wait for that, before the first result is taken.
        alone_from: Pixels of an image from which on no other one is worked on beside it; None =
            never mind.
    """
    pending: deque[Future[Result]] = deque()
    try:
        for image in images:
            alone = alone_from is not None and count_pixels(image.path) > alone_from
            while pending and (alone or len(pending) >= ahead):
                yield pending.popleft().result()
            pending.append(pool.submit(function, image))
            if alone:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
