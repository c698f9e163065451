"""What `primaps fit` would do, and how long it takes: a few steps are tried, in memory."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from primaps.config import FitConfig, differences
from primaps.features.device import compute_device
from primaps.pipeline.estimates import BASE_MEMORY, disk_line, duration
from primaps.pipeline.fitting import fit_fingerprint, fit_settings, initial_prototypes
from primaps.pipeline.kept_store import size_text
from primaps.pipeline.sampling import evenly
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.types import ImageFile

_STEPS: Final = 4
"""Of each phase, that are tried."""
_OFTEN: Final = 27
"""Classes that a try takes where their number is yet to be proposed."""


def planned_fit(run: Run, model_folder: Path | None, began: float) -> list[str]:
    """Lines that tell what `primaps fit` would do; nothing is written.

    Args:
        run: From `primaps.pipeline.reopen`.
        model_folder: Where the model would go; None = the run's own.
        began: `time.perf_counter` when the program began, since its start takes time too.

    Raises:
        ConfigError: If a setting contradicts the head.
        CheckpointError: If stored features or a model that is there are damaged.
        DatasetError: If the proposals are too few, or features are not finite.
    """
    folder, images = model_folder or run.folder.model, run.usable_images()
    fit, classes = run.config.fit, run.config.num_clusters
    number = "proposed from them" if classes is None else classes
    lines = [
        f"Photographs: {len(images)} with stored proposals",
        f"Classes:     {number}, method {fit.method}, seed {run.config.seed}",
        f"Model:       {folder}",
    ]
    if not images:
        return [*lines, "Time:        none, since nothing is stored: run `primaps proposals` first"]
    changed: list[str] = []
    if (folder / "model.json").exists():
        if has_model(run, images, folder):
            return [*lines, "Time:        none, since this model is there already"]
        wanted = fit_settings(run, len(images)) if classes is not None else {}
        changed = (
            differences(Model.load(folder).settings, wanted)
            if wanted
            else ["number of classes: auto"]
        )
    start = time.perf_counter() - began
    seconds = start + fit_seconds(run, images)
    lines += [
        disk_line(_bytes(run, len(images)), folder),
        f"Memory:      about {size_text(_memory(run, images))}",
        f"Time:        about {duration(seconds)}, by a few steps that were tried",
    ]
    if changed:
        lines += ["Refused without --overwrite, since the model there is another one:"]
        lines += [f"  {line}" for line in changed]
    return lines


def has_model(run: Run, images: Sequence[ImageFile], folder: Path) -> bool:
    """Whether a folder holds the model that a fit would make; not known of a number of classes that
    is yet to be proposed.

    Raises:
        CheckpointError: If it holds a damaged one.
    """
    if not (folder / "model.json").exists():
        return False
    if run.config.num_clusters is None and run.chosen_number is None:
        return False
    return Model.load(folder).fingerprint == fit_fingerprint(run, images)


def fit_seconds(run: Run, images: Sequence[ImageFile]) -> float:
    """How long a fit to stored features takes, without the seconds in which loops are compiled.

    Args:
        run: Its proposals stage is done.
        images: Those with stored features and proposals; one or more.

    Raises:
        As `primaps.prototypes.loop.fit.fit_prototypes`.
    """
    fit, number = run.config.fit, len(images)
    sample = evenly(number, max(8, fit.batch_size))
    _tried(run, [images[row] for row in sample[:2]])  # libraries and loops load with it
    each = _tried(run, [images[row] for row in sample])
    share = number / len(sample)
    main = fit.main_steps(number)
    steps = {
        "proposals": float(number),
        "clusters": fit.cluster_restarts * share,
        "pca": float(min(number, fit.pca_images)),
        "kmeans": float(main if fit.method == "baseline" else fit.kmeans_steps(number)),
        "em": main * share if fit.on_proposals else float(main),
        "usage": float(number),
    }
    return sum(seconds * steps.get(phase, 0.0) for phase, seconds in each.items())


def _tried(run: Run, images: Sequence[ImageFile]) -> dict[str, float]:
    """Seconds of one step by phase, of a fit of few steps."""
    began, ended = dict[str, float](), dict[str, tuple[float, int]]()

    def tell(phase: str, done: int, total: int) -> None:  # noqa: ARG001 - others need it
        began.setdefault(phase, time.perf_counter())
        ended[phase] = (time.perf_counter(), done)

    fit_prototypes(
        run.store.source([image.name for image in images]),
        _classes(run),
        _few_steps(run.config.fit),
        seed=run.config.seed,
        initial=initial_prototypes(run),
        device=compute_device(run.backbone.device),
        progress=tell,
    )
    return {
        phase: (moment - began[phase]) / done for phase, (moment, done) in ended.items() if done
    }


def _few_steps(fit: FitConfig) -> FitConfig:
    return dataclasses.replace(
        fit,
        cluster_restarts=min(fit.cluster_restarts, _STEPS),
        proposal_steps=min(fit.proposal_steps, _STEPS),
        min_steps=1,
        max_steps=_STEPS,
    )


def _classes(run: Run) -> int:
    if run.config.num_clusters is not None:
        return run.config.num_clusters
    return _OFTEN if run.chosen_number is None else run.chosen_number.value


def _bytes(run: Run, number: int) -> float:
    """Of the model and the prototypes of its checkpoints, student and teacher."""
    fit = run.config.fit
    kept = 1 + fit.main_steps(number) // fit.snapshot_distance
    return kept * 2 * _classes(run) * run.backbone.dim * 4 + 20_000


def _memory(run: Run, images: Sequence[ImageFile]) -> float:
    """Features of proposals and of some of their tokens, or of a batch of photographs."""
    fit, infos = run.config.fit, [run.store.info(image.name) for image in images]
    masks = sum(info.num_masks for info in infos if info is not None)
    vectors = min(fit.max_proposals, masks) * (1 + fit.tokens_per_proposal)
    if not fit.on_proposals:
        side = run.config.features.size / run.backbone.patch_size
        vectors = round(min(fit.batch_size, len(images)) * side * side * 4 / 3)
    return BASE_MEMORY + 2 * vectors * run.backbone.dim * 4
