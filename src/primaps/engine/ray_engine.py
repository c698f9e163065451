"""Workers on Ray: one actor per core or GPU, wherever the cluster has them (extra ``ray``).

Ray Data gives shards out. What lies in an object store is fetched by tasks of their own, beside the
actors, so that these do not wait for the network. An actor is a `Supervisor`: the work is done by a
child process, and an image that ends it does not end the actor. An actor that dies itself is started
again by Ray, and its shard given to another one; a shard that was finished in the meantime is found
by its record.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from primaps import errors
from primaps.engine.limits import Limits
from primaps.engine.local_engine import Finished
from primaps.engine.supervisor import ONE_THREAD, Supervisor
from primaps.engine.works import Work, work_as_json, work_from_json
from primaps.errors import ConfigError, MissingExtraError, PrimapsError, ProcessError

OBJECT_STORE: Final = 256 << 20
"""Bytes of shared memory for Ray on one machine: what travels are numbers and fetched images."""

_BLOCKS: Final = 4096
"""Most pieces that the list of shards is given out in."""

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""Environment: nothing is sent home, and nothing is drawn over our own progress."""


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
def ray_session(workers: int | None) -> Iterator[int]:
    """A connection to the cluster of ``RAY_ADDRESS``, or Ray on this machine alone while the block
    runs; one that is there already is used and kept.

    Ray on this machine listens on the loopback interface, has no dashboard, and keeps its files in
    a folder that is removed at the end.

    Args:
        workers: Number of workers; None = as many as there are GPUs, or else cores.

    Yields:
        The number of workers.

    Raises:
        MissingExtraError: If Ray is not installed.
    """
    require_ray()
    os.environ.update(_QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, about itself
        import ray

        if ray.is_initialized():
            yield workers or _workers_of_cluster(ray)
            return
        with tempfile.TemporaryDirectory(prefix="pm", dir=_short_folder()) as folder:
            try:
                ray.init(**_settings(workers, folder))
                yield workers or _workers_of_cluster(ray)
            finally:
                ray.shutdown()
                shutil.rmtree(folder, ignore_errors=True)  # what still writes there ends soon
                Path(folder).mkdir(exist_ok=True)
