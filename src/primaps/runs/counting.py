"""What a command has done so far, counted while it is told its progress: ``counters`` in
``run.json``, and the same as a file for Prometheus, both written at the end of every stage and now
and then in between.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from primaps.errors import OutputError
from primaps.progress import Progress, tell_failures, tell_resumed, tell_warnings
from primaps.runs.store import bytes_written
from primaps.types import Failure, ReadingNote

EVERY: Final = 15.0
"""Seconds between two writings while a stage is at work."""


@dataclass
class StageCount:
    """One stage of the last command that did some of it.

    Attributes:
        done: Steps that are done, of images or of a fit.
        total: Steps that there were to do.
        reused: Images whose outputs were current.
        seconds: They took; those of a command that was stopped before are added.
    """

    done: int = 0
    total: int = 0
    reused: int = 0
    seconds: float = 0.0


@dataclass
class Counters:
    """Figures of a run folder.

    Attributes:
        images: Inputs that are images by name.
        failed: Inputs that could not be used.
        warned: Images that were used in another way than plain 8-bit RGB.
        stages: By name.
        bytes_written: In whole files, by all commands in the folder.
        peak_memory: Of the main process of the last command, in bytes.
        resumes: Commands that went on from where a stopped or killed one was.
        stops: Commands that a signal ended.
    """

    images: int = 0
    failed: int = 0
    warned: int = 0
    stages: dict[str, StageCount] = field(default_factory=dict)
    bytes_written: int = 0
    peak_memory: int = 0
    resumes: int = 0
    stops: int = 0

    @classmethod
    def from_record(cls, known: Mapping[str, Any] | None) -> Counters:
        """As ``run.json`` holds them; zero if it does not."""
        if known is None:
            return cls()
        stages = {name: StageCount(**each) for name, each in known["stages"].items()}
        return cls(**{**known, "stages": stages})

    def record(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


class CountingProgress:
    """Progress that is counted on its way to whoever is told.

    Args:
        told: Who is told.
        counters: Of earlier commands in the folder; changed.
        keep: Writes the counters; called by the thread that tells the progress.
        clock: Gives seconds.
    """

    def __init__(
        self,
        told: Progress,
        counters: Counters,
        keep: Callable[[Counters], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.told, self.counters = told, counters
        self._keep, self._clock = keep, clock
        self._stage, self._began, self._kept, self._before = "", 0.0, clock(), 0.0
        self._warned: set[str] = set()
        self._earlier_bytes = counters.bytes_written - bytes_written()

    def begin(self, images: int, failed: int, warned: Iterable[str], *, resumed: bool) -> None:
        """A command begins.

        Args:
            images: It has so many.
            failed: Inputs that are known to be of no use.
            warned: Names of images that are known to be no plain ones.
            resumed: It goes on from where a stopped or killed one was.
        """
        counters = self.counters
        counters.images, counters.failed = images, failed
        self._warned |= set(warned)
        if resumed:
            counters.resumes += 1
        else:
            counters.stages = {}
        self.keep()

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """See `primaps.progress.Progress.plan`."""
        self.told.plan(stages, kind, images)

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """See `primaps.progress.Progress.start`."""
        known, former = self.counters.stages, self._stage
        if stage.startswith(f"{former}:") and not known.get(former, StageCount()).done:
            known.pop(former, None)  # its parts say it all
        self._end()
        self._stage, self._began = stage, self._clock()
        if total:
            self._before = known[stage].seconds if stage in known else 0.0
            reused = known[stage].reused if stage in known else 0
            known[stage] = StageCount(done, total, reused, self._before)
        self.told.start(stage, total, done)

    def advance(self, steps: int = 1) -> None:
        """See `primaps.progress.Progress.advance`."""
        if self._stage in self.counters.stages:
            self.counters.stages[self._stage].done += steps
        if self._clock() - self._kept >= EVERY:
            self.keep()
        self.told.advance(steps)

    def finish(self) -> None:
        """See `primaps.progress.Progress.finish`."""
        self.told.finish()
        self._end()

    def note(self, message: str) -> None:
        """See `primaps.progress.Progress.note`."""
        self.told.note(message)

    def failed(self, failure: Failure) -> None:
        """See `primaps.progress.Witness.failed`."""
        self.counters.failed += 1
        tell_failures(self.told, [failure])

    def warned(self, image: str, notes: Sequence[ReadingNote]) -> None:
        """See `primaps.progress.Witness.warned`."""
        self._warned.add(image)
        tell_warnings(self.told, image, notes)

    def resumed(self, folder: str) -> None:
        """See `primaps.progress.Witness.resumed`."""
        tell_resumed(self.told, folder)

    def keep(self) -> None:
        """Write the counters as they are now.

        Raises:
            OutputError: If they cannot be written.
        """
        self._kept = self._clock()
        present = self.counters.stages.get(self._stage)
        if present is not None:
            present.seconds = round(self._before + self._clock() - self._began, 3)
        self.counters.warned = len(self._warned)
        self.counters.bytes_written = self._earlier_bytes + bytes_written()
        self.counters.peak_memory = peak_memory()
        self._keep(self.counters)

    def _end(self) -> None:
        """The present stage is over, perhaps because of an error, which is what is to be told."""
        if self._stage in self.counters.stages:
            with contextlib.suppress(OutputError):
                self.keep()
        self._stage = ""


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes; 0 where the system does not
    tell.
    """
    with contextlib.suppress(OSError):  # Linux; what getrusage tells there is the parent's, too
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
