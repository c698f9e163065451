"""From what a user chose to a run that is open: settings, backbone, images, in this order."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from primaps.config import Config, FailureLimit
from primaps.features.registry import DEFAULT_BACKBONE
from primaps.pipeline.opening import ALL_STAGES, find_images, open_run
from primaps.pipeline.settings import backbone_for, preset_for, settings_for
from primaps.progress import Progress
from primaps.runs.run import Run
from primaps.types import FeatureExtractor


@dataclass(frozen=True)
class Choice:
    """What a user chose for a run; None where nothing was said.

    Attributes:
        given: Settings that were given, as for `primaps.config.with_settings`.
        preset: Name of the preset.
        backbone: Name of the backbone.
        weights: Weights file of the backbone.
        levels: See `primaps.heads.loading.load_backbone`.
        head: Folder of a head on top of the backbone.
        head_dropout: The head drops channels in inference too.
        device: Where the backbone runs.
        num_clusters: Number of classes where neither ``given`` nor an earlier run says anything.
    """

    given: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    backbone: str | None = None
    weights: Path | None = None
    levels: str | None = None
    head: Path | None = None
    head_dropout: bool = False
    device: str = "auto"
    num_clusters: int | None = Config.num_clusters

    def config(self, out: Path, progress: Progress) -> Config:
        """The settings of a command that writes into a run folder; see
        `primaps.pipeline.settings.settings_for`.
        """
        preset = "default" if self.preset is None else self.preset
        auto = self.given.get("num_clusters", self.num_clusters) is None
        start = preset_for(preset, self.backbone or DEFAULT_BACKBONE, auto=auto)
        defaults = dataclasses.replace(start, num_clusters=self.num_clusters)
        return settings_for(out, defaults, self.given, progress, preset=self.preset)

    def extractor(self, out: Path | None, progress: Progress) -> FeatureExtractor:
        """The backbone, with the head if there is one; see
        `primaps.pipeline.settings.backbone_for`.
        """
        return backbone_for(
            out,
            self.backbone,
            progress,
            weights=self.weights,
            head=self.head,
            head_dropout=self.head_dropout,
            levels=self.levels,
            device=self.device,
        )


def begin(
    inputs: Sequence[str | Path],
    out: Path,
    choice: Choice,
    *,
    stages: Sequence[str] = ALL_STAGES,
    overwrite: bool = False,
    progress: Progress,
    max_failures: FailureLimit | None = None,
) -> Run:
    """Open the run that a user asked for.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: The run folder.
        choice: Settings and backbone.
        stages: Whose settings must agree with what the folder holds.
        overwrite: Redo what other settings made.
        progress: Who is told.
        max_failures: See `primaps.pipeline.opening.find_images`.

    Raises:
        PrimapsError: As `settings_for`, `backbone_for` and `open_run` do.
    """
    config = choice.config(out, progress)
    return open_run(
        inputs,
        out,
        choice.extractor(out, progress),
        config,
        stages=stages,
        overwrite=overwrite,
        progress=progress,
        max_failures=max_failures,
    )


def look(inputs: Sequence[str | Path], out: Path, choice: Choice, progress: Progress) -> Run:
    """The run that a user asks about: its images are found, nothing is written.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: The run folder.
        choice: Settings and backbone.
        progress: Who is told.

    Raises:
        PrimapsError: As `begin`.
    """
    config = choice.config(out, progress)
    return find_images(inputs, out, choice.extractor(out, progress), config, progress=progress)
