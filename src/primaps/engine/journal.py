"""What is known of a shard whose worker died: which images may have ended it, and which did.

An image that was in work when a worker died is a suspect. The others are done first, then each
suspect alone. One that ends a worker `DEADLY` times while nothing else is in work is set aside as a
failure; one that took more than it may, the first time it is alone.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from primaps.errors import CheckpointError, ProcessError
from primaps.shards.places import Place

DEADLY: Final = 3
"""Deaths of a worker with one image alone, after which the image is not tried again."""

IDLE_DEATHS: Final = 12
"""Deaths in a row with no image in work, after which the command gives up: somebody ends workers
as soon as they start.
"""

_FORMAT: Final = "primaps-attempts-1"


@dataclass(frozen=True)
class Death:
    """The end of a worker that was not asked for.

    Attributes:
        images: Names of the images that were in work.
        how: How it ended, such as "signal SIGSEGV".
        limit: What an image took that it may not, and what to do, as a sentence: there is no reason
            to try again; None = it took none.
    """

    images: tuple[str, ...]
    how: str
    limit: str | None = None


@dataclass(frozen=True)
class Attempts:
    """What is known of a shard.

    Attributes:
        suspects: Deaths of a worker with one image alone, by the image's name; 0 = not tried alone
            yet.
        quarantined: Why an image is not tried again, by its name.
        idle: Deaths in a row with no image in work.
    """

    suspects: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)
    idle: int = 0

    def after(self, death: Death) -> Attempts:
        """What is known after another death.

        Raises:
            ProcessError: If workers die with nothing in work again and again.
        """
        if not death.images:
            if self.idle + 1 >= IDLE_DEATHS:
                raise ProcessError(
                    f"A worker ended {self.idle + 1} times with no image in work ({death.how}). Use"
                    " fewer --workers if memory is short, and run the same command again; it"
                    " resumes."
                )
            return dataclasses.replace(self, idle=self.idle + 1)
        suspects, quarantined = dict(self.suspects), dict(self.quarantined)
        for name in death.images:
            known = suspects.get(name)
            if known is None or len(death.images) > 1:
                suspects.setdefault(name, 0)
            elif death.limit is not None or known + 1 >= DEADLY:
                del suspects[name]
                quarantined[name] = death.limit or _deadly(death)
            else:
                suspects[name] = known + 1
        return Attempts(suspects, quarantined)


def attempts_path(shard: int) -> str:
    """Where the attempts of a shard stand, in its place."""
    return f"attempts/{shard:06d}.json"


def read_attempts(place: Place, shard: int) -> Attempts:
    """What is known of a shard.

    Raises:
        CheckpointError: If the file is damaged.
    """
    path = attempts_path(shard)
    if not place.exists(path):
        return Attempts()
    try:
        return _attempts(json.loads(place.read(path)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"Expected {place.at(path)} to tell of earlier attempts, but got: {error}. Delete it."
        ) from error


def _attempts(record: Mapping[str, Any]) -> Attempts:
    """Those of JSON values; whatever error they cause is one of their content."""
    if record["format"] != _FORMAT:
        raise ValueError(f"its format is {record['format']!r:.60}")
    return Attempts(
        {str(name): int(count) for name, count in record["suspects"].items()},
        {str(name): str(reason) for name, reason in record["quarantined"].items()},
    )


def write_attempts(place: Place, shard: int, attempts: Attempts) -> None:
    """Put on record what is known of a shard.

    Raises:
        OutputError: If it cannot be written.
    """
    record: dict[str, Any] = {
        "format": _FORMAT,
        "suspects": dict(attempts.suspects),
        "quarantined": dict(attempts.quarantined),
    }
    place.write(attempts_path(shard), (json.dumps(record, indent=2) + "\n").encode("ascii"))


def _deadly(death: Death) -> str:
    return (
        f"Expected an image that can be worked on, but it ended the worker process {DEADLY} times"
        f" while nothing else was in work (the last time: {death.how}). It may be damaged, or take"
        " more memory than there is. Save it anew with another program, or leave it out."
    )
