"""How long the stages of earlier jobs took on this machine: the basis of what is said about the
time that a whole job takes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from primaps.errors import CheckpointError, OutputError

ALIKE: Final = 3.0
"""A job with up to so many times more or fewer images tells how long another one takes; fixed costs
spoil the rest.
"""
_KINDS: Final = 100


class Durations:
    """Seconds that the stages of earlier jobs took, in one file for all runs of this user on this
    machine.

    Estimates alone come from it. A file that cannot be read or written leaves them out.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def expected(self, kind: str, images: int) -> dict[str, float]:
        """Seconds that every stage of a job will take, as far as a job of this kind with about as
        many images was done before.
        """
        known = self._read().get(kind, {})
        return {
            stage: seconds * images / before
            for stage, (before, seconds) in known.items()
            if before > 0 and 1 / ALIKE <= images / before <= ALIKE
        }

    def keep(self, kind: str, images: int, seconds: Mapping[str, float]) -> None:
        """Remember a job."""
        # only now: the command line answers at once without it
        from primaps.runs.store import write_json

        known = self._read()
        known.pop(kind, None)
        kept = dict(list(known.items())[1 - _KINDS :])  # the latest ones
        kept[kind] = {stage: (images, round(value, 3)) for stage, value in seconds.items()}
        try:
            write_json(self._path, kept)
        except OutputError:
            return

    def _read(self) -> dict[str, dict[str, tuple[int, float]]]:
        from primaps.runs.store import read_json

        if not self._path.exists():
            return {}
        try:
            return {
                kind: {
                    stage: (int(images), float(seconds))
                    for stage, (images, seconds) in stages.items()
                }
                for kind, stages in read_json(self._path).items()
            }
        except (CheckpointError, AttributeError, TypeError, ValueError):
            return {}


def durations_file() -> Path:
    """Where `Durations` are kept: in the user's folder for caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "primaps" / "durations.json"
