"""What is handed out to workers and comes back from them, as JSON: nothing here needs torch, which
only the workers themselves load.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from primaps.engine.far_scratch import check_scratch


@dataclass(frozen=True)
class Order:
    """A work for those who hand it out.

    Attributes:
        place: Folder or URL of the attempts.
        plan: Folder or URL of the plan.
        scratch: Folder on disk for what is not finished.
        device: Where backbones run.
        work: Class and values of the work itself.
    """

    place: str
    plan: str
    scratch: str
    device: str
    work: Mapping[str, Any]

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    def opened(self) -> Any:
        """The work itself, in the process that does it."""
        module, _, name = str(self.work["kind"]).partition(":")
        return getattr(import_module(module), name)(**self.work["values"])

    @classmethod
    def from_json(cls, text: str) -> Order:
        """The inverse of `as_json`."""
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Task:
    """A shard to be worked on.

    Attributes:
        shard: Its number.
        alone: Names of images that are done one by one, after the others.
        quarantined: Why an image is left out, by its name.
    """

    shard: int
    alone: tuple[str, ...] = ()
    quarantined: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str | bytes) -> Task:
        """The inverse of `as_json`."""
        record = json.loads(line)
        return cls(record["shard"], tuple(record["alone"]), record["quarantined"])


@dataclass(frozen=True)
class Finished:
    """A shard that is done.

    Attributes:
        shard: Its number.
        told: What its worker told of it: numbers of images and failures, and counts.
        deaths: Workers that died over it.
    """

    shard: int
    told: Mapping[str, Any]
    deaths: int = 0


def scratch_of(scratch: str, shard: int) -> Path:
    """Where a shard is worked on; the same after an interruption, on the same machine.

    Raises:
        OutputError: If it is a folder for outputs of a URL that is not this user's own.
    """
    check_scratch(Path(scratch))
    return Path(scratch) / f"{socket.gethostname()}-{shard:06d}"


def staging_of(scratch: str, shard: int) -> Path:
    """Where images of a shard are put that are not on disk."""
    return scratch_of(scratch, shard) / "staged"
