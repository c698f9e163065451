"""What the options of the engine ask for."""

from __future__ import annotations

from typing import cast

from primaps.config import FailureLimit
from primaps.engine.limits import Limits
from primaps.engine.options import EngineOptions, shards_option


def engine_options(
    *,
    engine: str | None,
    workers: int | None,
    max_failures: str | None,
    shards: str | None = None,
    shard_format: str | None = None,
    max_seconds: float | None = None,
    max_memory: float | None = None,
) -> EngineOptions:
    """The options, before anything heavy is loaded.

    Raises:
        ConfigError: If a value is out of range.
        MissingExtraError: If Ray is wanted and not installed.
    """
    options = EngineOptions(
        engine=cast("None", engine),  # refused there if it is none of them
        workers=workers,
        shards=shards_option(shards),
        shard_format=cast("None", shard_format),
        max_failures=FailureLimit.parse(max_failures),
        limits=Limits(max_seconds, None if max_memory is None else round(max_memory * 1e9)),
    )
    if options.engine == "ray":
        from primaps.engine.ray_engine import require_ray

        require_ray()
    return options
