"""The stages of a job, their numbers, and how long it all takes."""

from __future__ import annotations

from collections.abc import Sequence

from primaps.cli.durations import Durations
from primaps.cli.pace import Clock


class Job:
    """Stages that follow one another; a part of one is named ``stage: part``.

    Args:
        clock: Gives seconds.
        durations: What earlier jobs took, and where this one's are kept; None = neither.
    """

    def __init__(self, clock: Clock, durations: Durations | None = None) -> None:
        self._clock, self._durations = clock, durations
        self._began = clock()
        self.plan(())

    def plan(self, stages: Sequence[str], kind: str = "", images: int = 0) -> None:
        """See `primaps.progress.Progress.plan`."""
        self._stages, self._kind, self._images = tuple(stages), kind, images
        self._present, self._since, self._in_parts = "", self._clock(), False
        self._spent: dict[str, float] = {}
        self._expected: dict[str, float] = {}
        if self._durations is not None and kind and images:
            self._expected = self._durations.expected(kind, images)

    @property
    def indent(self) -> int:
        """Characters that the number of a stage takes."""
        return len(f"{len(self._stages)} of {len(self._stages)} ") if len(self._stages) > 1 else 0

    def numbered(self, stage: str) -> str:
        """A stage with its number, if the job has several and this is one of them."""
        name = stage.partition(":")[0]
        if len(self._stages) < 2 or name not in self._stages:
            return stage
        return f"{self._stages.index(name) + 1} of {len(self._stages)} {stage}"

    def start(self, stage: str, *, resumed: bool) -> None:
        """A stage or a part of one begins; if an earlier run did some of it, this one tells nothing
        about durations.
        """
        name = stage.partition(":")[0]
        if name != self._present:
            self._present, self._since = name, self._clock()
        self._in_parts = name != stage
        if resumed:
            self._images = 0

    def finish(self, *, typical: bool) -> None:
        """The present stage or part is over. With the last stage, the durations of the job are
        kept.

        Args:
            typical: Whether it was done wholly, and as fast as it will be another time.
        """
        self._spent[self._present] = self._clock() - self._since
        last = bool(self._stages) and self._present == self._stages[-1]
        if (
            last
            and typical
            and self._durations is not None
            and self._kind
            and self._images
            and self._all_done()
        ):
            self._durations.keep(
                self._kind, self._images, {stage: self._spent[stage] for stage in self._stages}
            )

    def elapsed(self) -> float:
        """Seconds since the job began."""
        return self._clock() - self._began

    def remaining(self, present: float | None) -> float | None:
        """Seconds until the job is done; None where there is no basis for one of its stages.

        Args:
            present: What remains of the present stage, or of its present part, at its own rate;
                None if that is not known.
        """
        if self._present not in self._stages:
            return None
        own, later = self._own(present), self._stages[self._stages.index(self._present) + 1 :]
        if own is None or any(stage not in self._expected for stage in later):
            return None
        return own + sum(self._expected[stage] for stage in later)

    def _own(self, present: float | None) -> float | None:
        """Seconds that remain of the present stage: by its rate, unless that is the rate of a part,
        or not known yet.
        """
        if present is not None and not self._in_parts:
            return present
        if self._present not in self._expected:
            return None
        left = self._expected[self._present] - (self._clock() - self._since)
        return max(left, present or 0.0) if left > 0 or present is not None else None

    def _all_done(self) -> bool:
        return self._spent.keys() >= set(self._stages)
