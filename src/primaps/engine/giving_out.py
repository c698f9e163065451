"""Shards given out to the engine that was asked for, and how many inputs may fail meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from primaps.engine.local_engine import run_here, workers_here
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Finished, Order
from primaps.engine.ray_engine import ray_session, run_on_ray
from primaps.errors import FailureLimitError
from primaps.progress import Progress


def given_out(
    order: Order,
    shards: Sequence[int],
    options: EngineOptions,
    progress: Progress,
    failed: int = 0,
    most: int | None = None,
) -> Iterator[Finished]:
    """Have shards worked on; closing the generator ends the workers.

    Args:
        order: What is to be done.
        shards: Numbers of the shards that are not done.
        options: Engine, workers, limits.
        progress: Advances by the images that are done.
        failed: Inputs that failed before.
        most: Inputs that may fail; None = any number.

    Raises:
        FailureLimitError: If more do.
        PrimapsError: If something concerns more than one image.
    """
    check_failures(failed, most)
    if not shards:
        return
    if options.engine == "ray":
        with ray_session(options.workers):
            yield from _counted(
                run_on_ray(order, shards, options.workers, options.limits, progress),
                failed,
                most,
            )
        return
    workers = options.workers or workers_here(order.device)
    yield from _counted(run_here(order, shards, workers, options.limits, progress), failed, most)


def workers_of(options: EngineOptions, device: str) -> int:
    """Number of workers to cut shards for; a cluster may have more."""
    return options.workers or workers_here(device)


def check_failures(failed: int, most: int | None) -> None:
    """Give up where too many inputs fail.

    Raises:
        FailureLimitError: If more failed than may.
    """
    if most is not None and failed > most:
        raise FailureLimitError(
            f"Expected at most {most} inputs that cannot be used (--max-failures), but there are"
            f" {failed} by now. What is finished is kept. Mend these inputs or raise"
            " --max-failures, and run the same command again to resume."
        )


def _counted(finished: Iterator[Finished], failed: int, most: int | None) -> Iterator[Finished]:
    for each in finished:
        failed += int(each.told["failures"])
        yield each
        check_failures(failed, most)
