"""Shards given out to the engine that was asked for, and how many inputs may fail meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from primaps.engine.local_engine import run_here, workers_here
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Finished, Order
from primaps.engine.ray_engine import ray_session, run_on_ray
from primaps.errors import DatasetError
from primaps.progress import Progress


def given_out(
    order: Order,
    shards: Sequence[int],
    options: EngineOptions,
    progress: Progress,
    failed: int = 0,
) -> Iterator[Finished]:
    """Have shards worked on; closing the generator ends the workers.

    Args:
        order: What is to be done.
        shards: Numbers of the shards that are not done.
        options: Engine, workers, limits.
        progress: Advances by the images that are done.
        failed: Inputs that failed before.

    Raises:
        DatasetError: If more inputs fail than may.
        PrimapsError: If something concerns more than one image.
    """
    check_failures(failed, options)
    if not shards:
        return
    if options.engine == "ray":
        with ray_session(options.workers):
            yield from _counted(
                run_on_ray(order, shards, options.workers, options.limits, progress),
                options,
                failed,
            )
        return
    workers = options.workers or workers_here(order.device)
    yield from _counted(run_here(order, shards, workers, options.limits, progress), options, failed)


def workers_of(options: EngineOptions, device: str) -> int:
    """Number of workers to cut shards for; a cluster may have more."""
    return options.workers or workers_here(device)


def check_failures(failed: int, options: EngineOptions) -> None:
    """Give up where too many inputs fail.

    Raises:
        DatasetError: If more failed than may.
    """
    if options.max_failures is not None and failed > options.max_failures:
        raise DatasetError(
            f"Expected at most {options.max_failures} inputs that fail (--max-failures), but"
            f" {failed} did. What is finished is kept: look at the inputs, and run the same command"
            " again, with a higher number if need be."
        )


def _counted(
    finished: Iterator[Finished], options: EngineOptions, failed: int
) -> Iterator[Finished]:
    for each in finished:
        failed += int(each.told["failures"])
        yield each
        check_failures(failed, options)
