"""What a fit was asked for, and what all of its parts do with that: read features, draw at random,
tell progress, keep the state.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from primaps.compute.cores import Workers
from primaps.config import FitConfig
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.steps.choice import sums_on
from primaps.prototypes.sums import Sums
from primaps.types import CheckpointStore, FeatureSource, View

Progress = Callable[[str, int, int], None]
"""Called with the phase ("proposals", "clusters", "pca", "kmeans", "em", "usage"), the number of
things done, and their total: when a phase begins, with what an earlier run has done of it, and
after every thing.
"""

Watch = Callable[[int, float], None]
"""Called after every step of the main phase with the number of its steps that are done and the loss
of the last one.
"""


class Draw(enum.IntEnum):
    """What is drawn at random, apart from all else that is."""

    ORDER = 0
    STEP = 1
    TOKENS = 2


@dataclass(frozen=True)
class Task:
    """The arguments of `primaps.prototypes.loop.fit.fit_prototypes`.

    Attributes:
        source: Cached features and proposals of all images.
        num_clusters: K.
        config: Settings of the fit.
        seed: Determines all that is random; 0 or more.
        device: Where the steps are computed.
        initial: (K, C) directions to start from, if they are given.
        checkpoint: Where the state is resumed from and saved to.
        progress: Who is told of the progress.
        watch: Who is told of the loss.
        workers: Threads and processes that do the work.
    """

    source: FeatureSource
    num_clusters: int
    config: FitConfig
    seed: int
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    initial: Tensor | None = None
    checkpoint: CheckpointStore | None = None
    progress: Progress | None = None
    watch: Watch | None = None
    workers: Workers = field(default_factory=Workers)

    @property
    def sums(self) -> Sums:
        """Who sums over the pixels and tokens of a batch."""
        return sums_on(self.device, self.workers)

    def features(self, index: int, view: View) -> Tensor:
        """Features on the device; on the CPU as the source gives them, to be converted when they
        are used.
        """
        features = self.source.features(index, view)
        return features if self.device.type == "cpu" else features.to(self.device, torch.float32)

    def feature_scale(self, rms_norm: float) -> float:
        """Factor of features of this root mean square norm, see `FitConfig.feature_norm`."""
        norm = self.config.feature_norm
        return 1.0 if norm is None else norm / max(rms_norm, 1e-12)

    def batch(self, phase: Phase, step: int) -> list[int]:
        """Images of one step: shuffled epochs, the incomplete last batch dropped."""
        epoch, number = divmod(step, self.config.steps_per_epoch(len(self.source)))
        size = self.config.batch_size
        return self.order(phase, epoch)[number * size :][:size]

    def order(self, phase: Phase, epoch: int) -> list[int]:
        """All images in random order."""
        generator = self.generator(phase, Draw.ORDER, epoch)
        order: list[int] = torch.randperm(len(self.source), generator=generator).tolist()
        return order

    def generator(self, phase: Phase, draw: Draw, number: int) -> torch.Generator:
        """The source of one thing that is random, on the CPU; the same whenever it is asked for."""
        entropy = np.random.SeedSequence([self.seed, phase, draw, number]).generate_state(
            1, np.uint64
        )
        return torch.Generator().manual_seed(int(entropy[0] >> np.uint64(1)))

    def report(self, phase: str, done: int, total: int) -> None:
        """Tell the progress, see `Progress`."""
        if self.progress is not None:
            self.progress(phase, done, total)

    def resume(self) -> State | None:
        """The state that process 0 finds saved; None = the fit begins.

        Raises:
            CheckpointError: If it belongs to another fit.
        """
        group = self.workers.group
        found = self.checkpoint.load() if self.checkpoint is not None and group.rank == 0 else None
        tensors = group.exchange(found or {})[0]
        if not tensors:
            return None
        channels = len(self.source.features(0, View()))
        return State.from_tensors(tensors, (self.num_clusters, channels), self.device)

    def save(self, state: State) -> None:
        """Save the state, if this is process 0."""
        if self.checkpoint is not None and self.workers.group.rank == 0:
            self.checkpoint.save(state.to_tensors())
