"""How much time and memory one image may take."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from primaps.errors import ConfigError

LEAST_MEMORY: Final = 30_000_000
"""Bytes; with less, a worker cannot even start its threads."""


@dataclass(frozen=True)
class Limits:
    """What one image may take.

    Attributes:
        seconds: Of work on it; None = any.
        memory: Bytes of host memory beyond what a worker holds once the backbone is loaded; None =
            any.
    """

    seconds: float | None = None
    memory: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that cannot be kept.

        Raises:
            ConfigError: If one is out of range, or cannot be enforced on this system.
        """
        if self.seconds is not None and self.seconds <= 0:
            raise ConfigError(f"Expected --max-seconds above 0, but got {self.seconds:g}.")
        if self.memory is not None and self.memory < LEAST_MEMORY:
            raise ConfigError(
                f"Expected --max-memory to be {LEAST_MEMORY / 1e9:g} (GB) or more, but got"
                f" {self.memory / 1e9:g}."
            )
        if self.memory is not None and not sys.platform.startswith("linux"):
            raise ConfigError(
                "Expected Linux for --max-memory, because other systems do not limit the memory of"
                f" a process, but this is {sys.platform}. Leave it away."
            )


def limit_memory(further: int) -> None:
    """Have this process fail an allocation that takes it more than so many bytes beyond what it
    holds now; Linux only.

    What is limited is private writable memory (RLIMIT_DATA of setrlimit(2)), not mapped files.
    """
    import resource

    status = Path("/proc/self/status").read_text("ascii", errors="replace")
    held = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmData"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = held * 1024 + further
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))
