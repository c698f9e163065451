"""A fit under way, shown in TensorBoard: the loss of every step, and what is measured quickly at
every snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from primaps.features.device import compute_device
from primaps.outputs.events import LiveEvents
from primaps.pipeline.sampling import evenly
from primaps.prototypes.loop.curve_measures import measure_curves
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.run import Run
from primaps.types import FitCurves, ImageFile

IMAGES: Final = 32
"""Training images on which usage and agreement are measured while a fit runs; the curves of a
finished fit take more.
"""


class LiveFit:
    """Writes events of one fit. It reads prototypes and features and changes nothing.

    Args:
        folder: Log directory.
        run: Whose stored features the fit uses.
        images: The training images.
    """

    def __init__(self, folder: Path, run: Run, images: Sequence[ImageFile]) -> None:
        self.folder = folder
        self._source = run.store.source(
            [images[index].name for index in evenly(len(images), IMAGES)]
        )
        self._cosine = run.config.fit.method == "baseline"
        self._device = compute_device(run.backbone.device)
        self._events: LiveEvents | None = None

    def begin(self, snapshots: Sequence[Snapshot], losses: Sequence[float]) -> None:
        """The fit starts, or goes on after steps that it had made before: these are written again,
        later ones were lost.

        Args:
            snapshots: Those that were kept so far.
            losses: Of the steps of the main phase that are done.

        Raises:
            MissingExtraError: If the package tensorboard is not installed.
            OutputError: If events cannot be written.
        """
        self._events = LiveEvents(self.folder, self._curves(snapshots, losses))

    def step(self, step: int, loss: float) -> None:
        """The loss of a step, counted from 1.

        Raises:
            OutputError: If events cannot be written.
        """
        if self._events is not None:
            self._events.add_loss(step, loss)

    def keep(self, snapshot: Snapshot) -> None:
        """A further snapshot.

        Raises:
            OutputError: If events cannot be written.
        """
        if self._events is not None:
            self._events.add_curves(self._curves([snapshot], []))

    def _curves(self, snapshots: Sequence[Snapshot], losses: Sequence[float]) -> FitCurves:
        if not snapshots:
            return FitCurves(np.array(losses), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0))
        return measure_curves(
            self._source, snapshots, losses, cosine=self._cosine, device=self._device
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._events is not None:
            self._events.close()
