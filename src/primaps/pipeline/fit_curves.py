"""The curves of a fit, measured on a part of the training images and kept beside the model."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import numpy as np

from primaps.errors import CheckpointError
from primaps.features.device import compute_device
from primaps.pipeline.fitting import drawn_snapshots, snapshot_distance, snapshot_folder
from primaps.pipeline.overview import evenly
from primaps.prototypes.loop.curve_measures import measure_curves
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import read_json, write_json
from primaps.types import FitCurves

IMAGES: Final = 512
"""Training images on which snapshots are compared at most, evenly spread."""
LOSS_DIGITS: Final = 6
"""As in ``model.json``, so that curves of a model that was just fitted equal those of one that was
read.
"""
MAX_POINTS: Final = 50
"""Snapshots that are compared at most, evenly spread."""


def sampled_names(run: Run) -> list[str]:
    """Names of the training images on which snapshots are compared."""
    images = run.usable_images()
    return [images[index].name for index in evenly(len(images), IMAGES)]


def fit_curves(run: Run, model: Model, folder: Path) -> FitCurves | None:
    """Loss, usage and agreement over a fit; measured once, then read from ``curves.json`` in the
    folder of the model.

    Args:
        run: The run whose features the model was fitted to.
        model: The fitted model.
        folder: Its folder.

    Returns:
        The curves; None if the model says nothing about its fit, like an imported one. Usage and
        agreement have no point if no snapshots were kept, as by earlier versions, and none where a
        snapshot cannot be read, which is noted; the file is written only if all can.

    Raises:
        CheckpointError: If the file of curves is damaged.
        OutputError: If the curves cannot be written.
    """
    losses = [round(loss, LOSS_DIGITS) for loss in model.fit.losses]
    if not losses:
        return None
    if len(losses) > snapshot_distance(model.settings) and not snapshot_folder(folder).is_dir():
        run.progress.note(
            f"No snapshots lie in {folder}: only the loss of the fit is drawn. Fit anew to see"
            " more."
        )
        return FitCurves(
            np.array(losses), np.zeros(0, np.int64), np.zeros((0, model.num_clusters)), np.zeros(0)
        )
    path = folder / "curves.json"
    if path.exists() and (record := read_json(path)).get("fingerprint") == model.fingerprint:
        return _from_record(record, path)
    problems: list[str] = []
    names, snapshots = sampled_names(run), drawn_snapshots(model, folder, problems.append)
    with run.stage("curves", len(names)):
        curves = measure_curves(
            run.store.source(names),
            [snapshots[index] for index in evenly(len(snapshots), MAX_POINTS)],
            losses,
            cosine=model.fit.cosine,
            device=compute_device(run.backbone.device),
            advance=run.progress.advance,
        )
    if problems:
        run.progress.note(problems[0])
        return curves
    write_json(path, {"fingerprint": model.fingerprint, "images": len(names), **_record(curves)})
    return curves


def _record(curves: FitCurves) -> dict[str, Any]:
    """JSON-ready."""
    return {name: value.tolist() for name, value in vars(curves).items()}


def _from_record(record: dict[str, Any], path: Path) -> FitCurves:
    try:
        return FitCurves(
            **{field.name: np.array(record[field.name]) for field in dataclasses.fields(FitCurves)}
        )
    except KeyError as error:
        raise CheckpointError(
            f"Expected {path} to hold the curves of a fit, but {error} is missing. Delete it."
        ) from error
