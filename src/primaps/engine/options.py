"""What a user asks of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from primaps.config import FailureLimit
from primaps.engine.limits import Limits
from primaps.errors import ConfigError

SHARDED_FROM: Final = 100_000
"""Images from which on outputs are shards unless told otherwise: a file system holds a million
small files badly.
"""

SHARD_SIZE: Final = 256
"""Images of a shard unless told otherwise."""


@dataclass(frozen=True)
class EngineOptions:
    """What a user asks of the engine.

    Attributes:
        engine: Who gives shards out: "local" = processes on this machine, "ray" = a Ray cluster;
            None = local.
        workers: Number of workers; None = one per GPU or core.
        shards: Images per shard of outputs; 0 = the usual folders; None = shards of `SHARD_SIZE`
            images from `SHARDED_FROM` images on, or where ``shard_format`` is given.
        shard_format: What the file of a shard is; None = as it is there, or tar.
        max_failures: Inputs that may fail before the command gives up; None = any number. Kept
            without workers too.
        limits: What one image may take.
    """

    engine: Literal["local", "ray"] | None = None
    workers: int | None = None
    shards: int | None = None
    shard_format: Literal["tar", "parquet"] | None = None
    max_failures: FailureLimit | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: If a value is out of range.
        """
        if self.engine not in {None, "local", "ray"}:
            raise ConfigError(f"Expected --engine to be local or ray, but got {self.engine!r}.")
        if self.shard_format not in {None, "tar", "parquet"}:
            raise ConfigError(
                f"Expected --shard-format to be tar or parquet, but got {self.shard_format!r}."
            )
        if self.shard_format is not None and self.shards == 0:
            raise ConfigError(
                "Expected --shard-format with outputs in shards, but got --shards off. Leave one of"
                " them away."
            )
        for name, value, least in (
            ("--workers", self.workers, 1),
            ("--shards", self.shards, 0),
        ):
            if value is not None and value < least:
                raise ConfigError(f"Expected {name} to be {least} or more, but got {value}.")

    @property
    def wanted(self) -> bool:
        """Whether work goes to worker processes: something was asked that only they can do."""
        return self != EngineOptions(
            shards=self.shards, shard_format=self.shard_format, max_failures=self.max_failures
        )


def shards_option(text: str | None) -> int | None:
    """The value of ``--shards``: on, off, or images per shard.

    Raises:
        ConfigError: If it is something else.
    """
    if text in {None, "auto"}:
        return None
    if text == "on":
        return SHARD_SIZE
    if text == "off":
        return 0
    size = int(str(text)) if str(text).isdecimal() else 0
    if size < 1:
        raise ConfigError(
            f"Expected --shards to be on, off, or a number of images per shard, but got {text!r}."
        )
    return size
