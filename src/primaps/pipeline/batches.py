"""Images in batches for an accelerator: read ahead by threads, worked on together, written behind by threads.

Batches hold images of one input size. Which images share a batch depends on the images of the run and their order alone, not on
which of them are still to be done: a resumed run does an unfinished batch again as it was, and writes what is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import torch

from primaps.cores import one_thread_each, usable_cores
from primaps.errors import ImageError
from primaps.pipeline.failures import reported
from primaps.pipeline.parallel import LARGE_IMAGE, in_order
from primaps.run import Run
from primaps.types import Failure, ImageFile

MAX_BATCH: Final = 64
"""Images: from there on a large accelerator is busy."""

_BYTES_PER_PIXEL: Final = 4000
"""Of device memory per pixel of the backbone's input: transformer, tokens in double precision, CRF with 16 labels; estimated."""

_WINDOW_PIXELS: Final = 256 * 320 * 320
"""Pixels of square inputs that are sorted into batches at a time."""

Loaded = TypeVar("Loaded")
Made = TypeVar("Made")


@dataclass(frozen=True)
class BatchWork(Generic[Loaded, Made]):
    """What is done to images in batches. `load` and `keep` are called by several threads, `compute` by one.

    Attributes:
        load: Reads an image.
        alike: Images with equal values can share a batch.
        most: Largest batch of images like this one.
        compute: Works on a batch; an image that cannot be used gives its error, in its place.
        keep: Writes what came out.
    """

    load: Callable[[ImageFile], Loaded]
    alike: Callable[[Loaded], Hashable]
    most: Callable[[Loaded], int]
    compute: Callable[[Sequence[Loaded]], Sequence[Made | ImageError]]
    keep: Callable[[ImageFile, Loaded, Made], None]


def works_in_batches(device: torch.device) -> bool:
    """Whether a backbone on this device is given several images at once; CPUs take one image per core."""
    return device.type == "cuda"


def images_per_batch(pixels: int, device: torch.device) -> int:
    """Number of images whose work takes at most half of the device's memory; the same in every run on a machine.

    Args:
        pixels: Of one input to the backbone.
        device: Where it runs.
    """
    memory = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 1 << 32
    return max(1, min(MAX_BATCH, memory // 2 // (_BYTES_PER_PIXEL * pixels)))


def images_per_window(size: int) -> int:
    """Number of images that are sorted into batches at a time, for inputs with this short side in pixels."""
    return max(1, min(4 * MAX_BATCH, _WINDOW_PIXELS // size**2))


def for_each_batch(run: Run, missing: Sequence[ImageFile], stage: str, work: BatchWork[Loaded, Made], window: int) -> None:
    """Do one thing to the images of a run that miss it, in batches; an image that cannot be used is reported and skipped.

    Args:
        run: Whose images are put into batches, whose failures are noted, in the order of the images, and whose progress advances.
        missing: The images to be done.
        stage: Name of the stage in the list of failures.
        work: What is done.
        window: Batches are formed within so many consecutive images.
    """
    wanted = {image.name for image in missing}
    windows = [run.images[start : start + window] for start in range(0, len(run.images), window)]
    todo = [part for part in windows if any(image.name in wanted for image in part)]
    workers = usable_cores()
    with (
        one_thread_each(run.backbone.device.type == "cpu"),
        ThreadPoolExecutor(workers, "read") as readers,
        ThreadPoolExecutor(workers, "write") as writers,
    ):
        batches = _Batches(run, wanted, stage, work, writers, window)
        read = in_order(readers, batches.load, [image for part in todo for image in part], window // 2 + workers, LARGE_IMAGE)
        with closing(read):
            try:
                for part in todo:
                    for image in part:
                        batches.add(image, next(read))
                    batches.flush()
                batches.finish()
            finally:
                run.failures.extend(failure for image in run.images for failure in batches.failures.get(image.name, ()))


@dataclass
class _Batches(Generic[Loaded, Made]):
    """The batches that are filling up, and the images that are being written."""

    run: Run
    wanted: set[str]
    stage: str
    work: BatchWork[Loaded, Made]
    writers: ThreadPoolExecutor
    most_pending: int
    failures: dict[str, list[Failure]] = field(default_factory=dict, init=False)
    _open: dict[Hashable, list[tuple[ImageFile, Loaded]]] = field(default_factory=dict, init=False)
    _pending: deque[tuple[ImageFile, Future[list[Failure]]]] = field(default_factory=deque, init=False)

    def load(self, image: ImageFile) -> tuple[Loaded | None, list[Failure]]:
        """Read one image; called by the readers."""
        failures: list[Failure] = []
        with reported(failures, image, self.stage):
            return self.work.load(image), failures
        return None, failures

    def add(self, image: ImageFile, read: tuple[Loaded | None, list[Failure]]) -> None:
        """Put an image into its batch, and have the batch done once it is full."""
        loaded, failures = read
        if loaded is None:
            self._done(image, failures)
            return
        kind = self.work.alike(loaded)
        batch = self._open.setdefault(kind, [])
        batch.append((image, loaded))
        if len(batch) >= self.work.most(loaded):
            self._compute(self._open.pop(kind))

    def flush(self) -> None:
        """Have all batches done, full or not."""
        while self._open:
            self._compute(self._open.pop(next(iter(self._open))))

    def finish(self) -> None:
        """Wait for the writers."""
        self._wait(0)

    def _compute(self, batch: list[tuple[ImageFile, Loaded]]) -> None:
        if not any(image.name in self.wanted for image, _ in batch):
            return
        for (image, loaded), made in zip(batch, self._made(batch), strict=True):
            if image.name in self.wanted:
                self._pending.append((image, self.writers.submit(self._keep, image, loaded, made)))
        self._wait(self.most_pending)

    def _made(self, batch: list[tuple[ImageFile, Loaded]]) -> Sequence[Made | Exception]:
        """What comes out for each image; one by one where the memory does not hold all at once."""
        try:
            return self.work.compute([loaded for _, loaded in batch])
        except (MemoryError, torch.OutOfMemoryError) as error:
            if len(batch) == 1:
                return [error]
        self.run.progress.note(f"{len(batch)} images at a time do not fit the device's memory; these are done one by one.")
        return [self._made([one])[0] for one in batch]

    def _keep(self, image: ImageFile, loaded: Loaded, made: Made | Exception) -> list[Failure]:
        """Write one image; called by the writers."""
        failures: list[Failure] = []
        with reported(failures, image, self.stage):
            if isinstance(made, Exception):
                raise made
            self.work.keep(image, loaded, made)
        return failures

    def _wait(self, most: int) -> None:
        """Until at most so many images are being written."""
        while len(self._pending) > most:
            image, future = self._pending.popleft()
            self._done(image, future.result())

    def _done(self, image: ImageFile, failures: list[Failure]) -> None:
        self.failures[image.name] = failures
        if image.name in self.wanted:
            self.run.progress.advance()
