"""What a command may take: images that are tried, and durations in words."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from primaps.compute.cores import one_thread_each, usable_cores
from primaps.pipeline.failures import reported
from primaps.pipeline.kept_store import size_text
from primaps.pipeline.parallel import LARGE_IMAGE, in_order
from primaps.pipeline.sampling import evenly
from primaps.runs.run import Run
from primaps.types import Failure, ImageFile

BASE_MEMORY: Final = 0.9e9
"""Bytes of memory of the process; measured with the default backbone."""
_TRIED: Final = 4
"""Images at least, but for those that there are."""

Result = TypeVar("Result")


def tried(
    run: Run,
    images: Sequence[ImageFile],
    work: Callable[[ImageFile], Result],
    alone_from: int = LARGE_IMAGE,
) -> tuple[float, list[Result]]:
    """Do something to some images, as many at a time as the command itself would.

    Args:
        run: On whose device.
        images: Of which some are taken; one or more.
        work: What is done; thread-safe, writes nothing.
        alone_from: As for `primaps.pipeline.parallel.for_each_image`.

    Returns:
        Seconds per image, all cores together, and what ``work`` gave; images that cannot be used
        are left out. One is done before, with which libraries load.
    """

    def attempt(image: ImageFile) -> list[Result]:
        found = list[Result]()
        with reported(list[Failure](), image, "predict"):
            found.append(work(image))
        return found

    on_cpu = run.backbone.device.type == "cpu"
    workers = max(1, min(usable_cores(), len(images))) if on_cpu else 1
    sample = [images[row] for row in evenly(len(images), max(_TRIED, 2 * workers))]
    alone = alone_from if workers > 1 else None
    with one_thread_each(on_cpu), ThreadPoolExecutor(workers, "tried") as pool:
        attempt(sample[0])
        start = time.perf_counter()
        with closing(in_order(pool, attempt, sample, 2 * workers, alone)) as found:
            results = [each for part in found for each in part]
    return (time.perf_counter() - start) / len(sample), results


def disk_line(needed: float, root: Path) -> str:
    """So many bytes in a folder, and what is free there."""
    free = size_text(shutil.disk_usage(_there(root)).free)
    return f"Disk:        about {size_text(needed)} in {root} ({free} free)"


def _there(folder: Path) -> Path:
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())


def duration(seconds: float) -> str:
    """Seconds."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
