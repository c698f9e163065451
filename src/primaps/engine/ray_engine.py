"""Workers on Ray: one actor per core or GPU, wherever the cluster has them (extra ``ray``).

Ray Data gives shards out. What lies in an object store is fetched by tasks of their own, beside the
actors, so that these do not wait for the network. An actor is a `Supervisor`: the work is done by a
child process, and an image that ends it does not end the actor. An actor that dies itself is
started again by Ray, and its shard given to another one; a shard that was finished in the meantime
is found by its record.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, cast

from primaps import errors
from primaps.engine.limits import Limits
from primaps.engine.local_engine import workers_here
from primaps.engine.orders import Finished, Order, staging_of
from primaps.engine.supervisor import ONE_THREAD, Supervisor
from primaps.errors import ConfigError, MissingExtraError, PrimapsError, ProcessError
from primaps.progress import Progress
from primaps.runs.store import atomic_write
from primaps.shards.places import is_url, place_of
from primaps.shards.plan import references_of
from primaps.shards.staging import stage

OBJECT_STORE: Final = 256 << 20
"""Bytes of shared memory for Ray on one machine: what travels are numbers and fetched images."""

_BLOCKS: Final = 4096
"""Most pieces that the list of shards is given out in."""

_STARTS: Final = 2
"""How often Ray is started on this machine: on a busy one it gives up after half a minute."""

_FOLDER: Final = "pmray"
"""Beginning of the name of a folder for Ray's files; the number of the process follows."""

_MOST_FETCHED: Final = 256 << 20
"""Bytes of a shard's images up to which they are fetched by a task of its own; a worker fetches
more itself.
"""

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_DATA_LOG_LEVEL": "ERROR",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # without it, Ray's own processes listen on all interfaces of a Linux machine
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
"""Environment of Ray on this machine alone: nothing is sent home, nothing listens beyond it."""


def require_ray() -> None:
    """Make sure that Ray is installed.

    Raises:
        MissingExtraError: If it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError(
            "Expected the package ray, on which --engine ray runs, but it is not installed. Install"
            " it with: pip install 'primaps[ray]'"
        )


@contextlib.contextmanager
def ray_session(workers: int | None) -> Iterator[None]:
    """A connection to the cluster of ``RAY_ADDRESS``, or Ray on this machine alone, while the block
    runs; one that is there already is used and kept.

    Ray on this machine listens on the loopback interface, has no dashboard, and keeps its files in
    a folder that is removed at the end.

    Args:
        workers: Number of workers; None = as many as there are cores.

    Raises:
        MissingExtraError: If Ray is not installed.
    """
    require_ray()
    with _quiet():
        if "ray" in sys.modules and sys.modules["ray"].is_initialized():
            yield
            return
        folder = _own_folder()
        here: dict[str, Any] = {
            "num_cpus": workers_here("cpu") if workers is None else workers,
            "object_store_memory": OBJECT_STORE,
            "include_dashboard": False,
            "_temp_dir": folder,
        }
        try:
            _connect(here if "RAY_ADDRESS" not in os.environ else None)
            yield
        finally:
            sys.modules["ray"].shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def _own_folder() -> str:
    """A folder for Ray's files, with a short name: the paths of the sockets in it may have 107
    bytes. Those that killed commands left are removed.
    """
    root = Path("/tmp" if os.name == "posix" else tempfile.gettempdir())  # noqa: S108 - mkdtemp's
    for left in root.glob(f"{_FOLDER}*-*"):
        number = left.name.removeprefix(_FOLDER).partition("-")[0]
        if number.isdigit() and not _is_alive(int(number)):
            shutil.rmtree(left, ignore_errors=True)  # of another user: it stays
    return tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=root)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _connect(here: Mapping[str, Any] | None) -> None:
    """Start Ray on this machine, or connect to a cluster if there are no settings for that."""
    with _without_its_notices():
        if here is not None:
            os.environ.update(_QUIET)  # before the import, which reads it
        import ray

        if here is not None:
            # what was imported before the environment was set
            import_module("ray._private.ray_constants").ENABLE_RAY_CLUSTER = False  # type: ignore[attr-defined]
        for attempt in range(1, _STARTS + 1):
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **(here or {}))
            except Exception as error:  # Ray has no class of its own for it
                ray.shutdown()
                if attempt == _STARTS or here is None:
                    where = "on this machine" if here is not None else os.environ["RAY_ADDRESS"]
                    raise ProcessError(
                        f"Expected Ray {where} to answer, but got: {error}. The machine may be"
                        " busy: run the same command again, or use --engine local."
                    ) from error
            else:
                return


@contextlib.contextmanager
def _without_its_notices() -> Iterator[None]:
    """What Ray's compiled part prints while it starts goes nowhere: errors are raised."""
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray's warnings about itself are no news to who waits for label maps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def run_on_ray(
    order: Order,
    shards: Sequence[int],
    workers: int | None,
    limits: Limits,
    progress: Progress,
) -> Iterator[Finished]:
    """Have shards worked on by the actors of a Ray cluster, inside a `ray_session`; closing the
    generator ends them.

    Args:
        order: What is to be done; its folders and files are seen by all machines.
        shards: Numbers of the shards.
        workers: Number of actors; None = one per GPU if work is done on GPUs, else one per core.
        limits: What one image may take.
        progress: Advances by the images of a shard when it is done.

    Raises:
        PrimapsError: If something concerns more than one image.
    """
    with _quiet():
        import ray
        from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy, from_items

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = _on_gpus(order.device, resources)
        count = min(workers or _workers(resources, gpus=gpus), len(shards))
        rows = from_items(
            [{"shard": shard} for shard in shards], override_num_blocks=min(len(shards), _BLOCKS)
        ).map(
            Fetching(order.plan),
            # it waits for the network: no core is kept for that
            num_cpus=0,
            compute=TaskPoolStrategy(size=count),
        )
        told = rows.map(
            cast("Any", RayWorker),  # called once per actor, then row by row
            fn_constructor_args=(order.as_json(), json.dumps(asdict(limits)), gpus),
            compute=ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2),
            num_cpus=0 if gpus else 1,
            num_gpus=1 if gpus else 0,
            max_restarts=-1,
            max_task_retries=-1,
        )
        rows_told = iter(told.iter_rows())
        while (text := _next(rows_told)) is not None:
            finished = _finished(json.loads(text))
            progress.advance(finished.told.get("images", 0))
            yield finished


def _next(rows: Iterator[Mapping[str, Any]]) -> str | None:
    """What an actor told of the next shard; None if there is no more.

    Raises:
        ProcessError: If Ray itself gave up.
    """
    from ray.exceptions import RayError

    try:
        row = next(rows, None)
    except RayError as error:
        last = "".join(str(error).strip().splitlines()[-1:])[:500]
        raise ProcessError(
            f"Expected Ray to work to the end, but got {type(error).__name__}: {last}"
            " What is finished is kept: run the same command again, or use --engine local."
        ) from error
    return None if row is None else str(row["told"])


def _finished(told: dict[str, Any]) -> Finished:
    if "error" in told:
        kind = getattr(errors, told["error"], ProcessError)
        raise kind(told["message"])
    return Finished(told["shard"], told["told"], told["deaths"])


def _on_gpus(device: str, resources: Mapping[str, float]) -> bool:
    """Whether actors have a GPU each.

    Raises:
        ConfigError: If GPUs are asked for, and the cluster has none.
    """
    there = resources.get("GPU", 0) >= 1
    if device.startswith("cuda") and not there:
        raise ConfigError(
            f"Expected GPUs in the Ray cluster for --device {device}, but it has none. Leave"
            " --device out."
        )
    return there and device in {"auto", "cuda"}


def _workers(resources: Mapping[str, float], *, gpus: bool) -> int:
    return max(1, int(resources.get("GPU" if gpus else "CPU", 1)))


@dataclass(frozen=True)
class Fetching:
    """A task: fetch the images of a shard that lie in an object store.

    Attributes:
        place: Where the plan is.
    """

    place: str

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """The shard, and its images by the names that `primaps.shards.staging.stage` gives them."""
        try:
            files = self._fetched(int(row["shard"]))
        except (PrimapsError, OSError):
            files = []  # what fails is tried again by the worker, which tells
        names, contents, times = zip(*files, strict=True) if files else ((), (), ())
        return {
            "shard": row["shard"],
            "names": list(names),
            "contents": list(contents),
            "times": list(times),
        }

    def _fetched(self, shard: int) -> list[tuple[str, bytes, int]]:
        """Name, content and time of each image; none if they lie on disk, or are too many bytes."""
        references = references_of(place_of(self.place), shard)
        far = [reference for reference in references if is_url(reference.url)]
        if not far or sum(reference.size for reference in far) > _MOST_FETCHED:
            return []
        with tempfile.TemporaryDirectory(prefix="primaps") as folder:
            stage(references, Path(folder))
            return [
                (path.name, path.read_bytes(), path.stat().st_mtime_ns)
                for path in sorted(Path(folder).iterdir())
            ]


class RayWorker:
    """An actor: a supervisor with its worker process.

    Args:
        order: What is to be done, as JSON.
        limits: What one image may take, as JSON.
        gpu: Whether it has a GPU, the only one that Ray lets it see.
    """

    def __init__(self, order: str, limits: str, gpu: bool) -> None:
        self._order = Order.from_json(order)
        environment = {} if gpu else ONE_THREAD
        self._supervisor = Supervisor(self._order, Limits(**json.loads(limits)), environment)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Have a shard worked on. Errors are told, not raised: Ray would try again."""
        shard = int(row["shard"])
        before = self._supervisor.deaths
        try:
            folder = staging_of(self._order.scratch, shard)
            for name, content, moment in zip(
                row["names"], row["contents"], row["times"], strict=True
            ):
                atomic_write(folder / name, content)
                os.utime(folder / name, ns=(moment, moment))
            told = self._supervisor.do(shard)
        except PrimapsError as error:
            return {"told": json.dumps({"error": type(error).__name__, "message": str(error)})}
        deaths = self._supervisor.deaths - before
        return {"told": json.dumps({"shard": shard, "told": told, "deaths": deaths})}

    def __del__(self) -> None:
        """The worker process ends with the actor; if the actor is killed, its input ends."""
        with contextlib.suppress(AttributeError):  # never begun
            self._supervisor.close()
