"""Images in batches for an accelerator: read ahead by threads, worked on together, written behind
by threads.

What was read and what is to be written waits in host memory, in bounded amounts whatever the shapes
of the images; of images, the device holds the batch that is worked on and nothing else. Batches
hold images of one input size. Which images share a batch depends on the images of the run and their
order alone, not on which of them are still to be done: a resumed run does an unfinished batch again
as it was, and writes what is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import torch

from primaps.compute.cores import one_thread_each, usable_cores
from primaps.errors import ImageError
from primaps.features.preprocess import MAX_ASPECT
from primaps.pipeline.failures import is_out_of_memory, refuse_more, reported
from primaps.pipeline.parallel import LARGE_IMAGE, in_order
from primaps.progress import tell_failures
from primaps.runs.run import Run
from primaps.types import Failure, ImageFile

MAX_BATCH: Final = 64
"""Images: from there on a large accelerator is busy."""

_BYTES_PER_PIXEL: Final = 4000
"""Of device memory per pixel of the backbone's input: transformer, tokens in double precision, CRF
with 16 labels; estimated.
"""

_WINDOW: Final = 4 * MAX_BATCH
"""Consecutive images that are sorted into batches at a time."""

_WAITING_PIXELS: Final = 80 << 20
"""Pixels of inputs (1 GB) that are read ahead, and of those that wait for their batches to fill."""

_WAITING_BYTES: Final = 1 << 30
"""Of results that wait for their writers when the next batch is begun."""

Loaded = TypeVar("Loaded")
Made = TypeVar("Made")


@dataclass(frozen=True)
class BatchWork(Generic[Loaded, Made]):
    """What is done to images in batches. `load` and `keep` are called by several threads, `compute`
    by one.

    Attributes:
        load: Reads an image, into host memory.
        alike: Images with equal values can share a batch; they have as many pixels.
        pixels: Of the input to the backbone.
        most: Largest batch of images with so many pixels.
        compute: Works on a batch, from host memory to host memory; an image that cannot be used
            gives its error, in its place.
        size: Bytes of what came out.
        keep: Writes what came out.
    """

    load: Callable[[ImageFile], Loaded]
    alike: Callable[[Loaded], Hashable]
    pixels: Callable[[Loaded], int]
    most: Callable[[int], int]
    compute: Callable[[Sequence[Loaded]], Sequence[Made | ImageError]]
    size: Callable[[Made], int]
    keep: Callable[[ImageFile, Made], None]


def works_in_batches(device: torch.device) -> bool:
    """Whether a backbone on this device is given several images at once; CPUs take one image per
    core.
    """
    return device.type == "cuda"


def images_per_batch(pixels: int, device: torch.device) -> int:
    """Number of images whose work takes at most half of the device's memory; the same in every run
    on a machine.

    Args:
        pixels: Of one input to the backbone.
        device: Where it runs.
    """
    memory = (
        torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 1 << 32
    )
    return max(1, min(MAX_BATCH, memory // 2 // (_BYTES_PER_PIXEL * pixels)))


def images_ahead(size: int) -> int:
    """Number of images that are read ahead: two batches, or as many of the longest inputs as memory
    is set aside for.

    How long an input is shows when it is read, so all are taken to be as long as
    `primaps.features.preprocess.input_size` makes them.

    Args:
        size: Short side of the inputs in pixels.
    """
    return max(2, min(2 * MAX_BATCH, _WAITING_PIXELS // (MAX_ASPECT * size**2)))


def for_each_batch(
    run: Run, missing: Sequence[ImageFile], stage: str, work: BatchWork[Loaded, Made], ahead: int
) -> None:
    """Do one thing to the images of a run that miss it, in batches; an image that cannot be used is
    reported and skipped.

    Args:
        run: Whose images are put into batches, whose failures are noted, in the order of the
            images, and whose progress advances.
        missing: The images to be done.
        stage: Name of the stage in the list of failures.
        work: What is done.
        ahead: How many images are read ahead.
    """
    wanted = {image.name for image in missing}
    windows = [run.images[start : start + _WINDOW] for start in range(0, len(run.images), _WINDOW)]
    todo = [part for part in windows if any(image.name in wanted for image in part)]
    workers = usable_cores()
    with (
        # there are several readers and writers, and beside an accelerator the host computes little
        # else
        one_thread_each(),
        ThreadPoolExecutor(workers, "read") as readers,
        ThreadPoolExecutor(workers, "write") as writers,
    ):
        batches = _Batches(run, wanted, stage, work, writers)
        read = in_order(
            readers, batches.load, [image for part in todo for image in part], ahead, LARGE_IMAGE
        )
        with closing(read):
            try:
                for part in todo:
                    for image in part:
                        batches.add(image, next(read))
                    batches.flush()
                batches.finish()
            finally:
                batches.settle()
                run.failures.extend(
                    failure
                    for image in run.images
                    for failure in batches.failures.get(image.name, ())
                )


@dataclass
class _Batches(Generic[Loaded, Made]):
    """The batches that are filling up, and the images that are being written."""

    run: Run
    wanted: set[str]
    stage: str
    work: BatchWork[Loaded, Made]
    writers: ThreadPoolExecutor
    failures: dict[str, list[Failure]] = field(default_factory=dict, init=False)
    _open: dict[Hashable, list[tuple[ImageFile, Loaded]]] = field(default_factory=dict, init=False)
    _open_pixels: int = field(default=0, init=False)
    _pending: deque[tuple[ImageFile, int, Future[list[Failure]]]] = field(
        default_factory=deque, init=False
    )
    _pending_bytes: int = field(default=0, init=False)

    def load(self, image: ImageFile) -> tuple[Loaded | None, list[Failure]]:
        """Read one image; called by the readers."""
        failures: list[Failure] = []
        if image.name in self.wanted:
            self.run.watch.begun(image)
        with reported(failures, image, self.stage):
            return self.work.load(image), failures
        return None, failures

    def add(self, image: ImageFile, read: tuple[Loaded | None, list[Failure]]) -> None:
        """Put an image into its batch, and have the batch done once it is full, or all of them once
        they hold much.
        """
        loaded, failures = read
        if loaded is None:
            self._done(image, failures)
            return
        kind, pixels = self.work.alike(loaded), self.work.pixels(loaded)
        batch = self._open.setdefault(kind, [])
        batch.append((image, loaded))
        self._open_pixels += pixels
        if len(batch) >= self.work.most(pixels):
            self._open_pixels -= pixels * len(batch)
            self._compute(self._open.pop(kind))
        elif self._open_pixels >= _WAITING_PIXELS:
            self.flush()

    def flush(self) -> None:
        """Have all batches done, full or not."""
        while self._open:
            self._compute(self._open.pop(next(iter(self._open))))
        self._open_pixels = 0

    def finish(self) -> None:
        """Wait for the writers."""
        self._wait(-1)

    def settle(self) -> None:
        """Wait for what is being written when the work is stopped; none of it is told any more."""
        while self._pending:
            image, _, future = self._pending.popleft()
            self.failures[image.name] = future.result()

    def _compute(self, batch: list[tuple[ImageFile, Loaded]]) -> None:
        if not any(image.name in self.wanted for image, _ in batch):
            return
        for image, made in zip(
            [image for image, _ in batch], self._made([loaded for _, loaded in batch]), strict=True
        ):
            if image.name in self.wanted:
                size = 0 if isinstance(made, Exception) else self.work.size(made)
                self._pending.append((image, size, self.writers.submit(self._keep, image, made)))
                self._pending_bytes += size
        self._wait(_WAITING_BYTES)

    def _made(self, batch: Sequence[Loaded]) -> Sequence[Made | Exception]:
        """What comes out for each image; one by one where the memory does not hold all at once."""
        try:
            return self.work.compute(batch)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                # whose frames would keep what this image holds while others are done
                return [error.with_traceback(None)]
        self.run.progress.note(
            f"{len(batch)} images at a time do not fit the device's memory; these are done one by"
            " one."
        )
        return [self._made([one])[0] for one in batch]

    def _keep(self, image: ImageFile, made: Made | Exception) -> list[Failure]:
        """Write one image; called by the writers."""
        failures: list[Failure] = []
        with reported(failures, image, self.stage):
            if isinstance(made, Exception):
                raise made
            self.work.keep(image, made)
        return failures

    def _wait(self, most: int) -> None:
        """Until at most so many bytes are to be written; -1: until nothing is. What is written
        already is noted in any case.
        """
        while self._pending and (self._pending_bytes > most or self._pending[0][2].done()):
            image, size, future = self._pending.popleft()
            self._done(image, future.result())
            self._pending_bytes -= size

    def _done(self, image: ImageFile, failures: list[Failure]) -> None:
        self.failures[image.name] = failures
        if failures:
            tell_failures(self.run.progress, failures)
            found = [one for each in self.failures.values() for one in each]
            refuse_more([*self.run.failures, *found], self.run.most_failures)
        if image.name in self.wanted:
            self.run.watch.ended(image)
            self.run.progress.advance()
