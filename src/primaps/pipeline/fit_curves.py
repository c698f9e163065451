"""The curves of a fit, measured on a part of the training images and kept beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from primaps.errors import CheckpointError
from primaps.features.device import compute_device
from primaps.pipeline.fitting import drawn_snapshots, snapshot_distance, snapshot_folder
from primaps.pipeline.sampling import evenly
from primaps.prototypes.loop.curve_measures import measure_curves
from primaps.runs.model import Model
from primaps.runs.records import check_record, is_count, is_number, list_of
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
        return _losses_only(losses)
    known = _kept(folder, model.fingerprint)
    if known is not None:
        return known
    if not all(run.store.held(name) for name in sampled_names(run)):
        run.progress.note(
            f"Features were not kept (--store {run.config.store}): only the loss of the fit is"
            " drawn."
        )
        return _losses_only(losses)
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
    write_json(
        folder / "curves.json",
        {"fingerprint": model.fingerprint, "images": len(names), **_record(curves)},
    )
    return curves


def kept_curves(folder: Path, model: str, losses: Sequence[float]) -> FitCurves | None:
    """The curves that lie beside a model; nothing is measured.

    Args:
        folder: Of the model.
        model: Its fingerprint.
        losses: Of its fit; empty = it says nothing about it.

    Returns:
        The curves, those of the loss alone where no others lie there; None without a loss.

    Raises:
        CheckpointError: If the file of curves is damaged.
    """
    if not losses:
        return None
    known = _kept(folder, model)
    return _losses_only(losses) if known is None else known


def _kept(folder: Path, model: str) -> FitCurves | None:
    path = folder / "curves.json"
    if path.exists() and (record := read_json(path)).get("fingerprint") == model:
        return _from_record(record, path)
    return None


def _losses_only(losses: Sequence[float]) -> FitCurves:
    return FitCurves(np.array(losses), np.zeros(0, np.int64), np.zeros((0, 0)), np.zeros(0))


def _record(curves: FitCurves) -> dict[str, Any]:
    """JSON-ready."""
    return {name: value.tolist() for name, value in vars(curves).items()}


def _is_table(value: Any) -> bool:
    """Rows of as many numbers."""
    return list_of(list_of(is_number))(value) and len({len(row) for row in value}) <= 1


_EXPECTED: Final = {
    "losses": list_of(is_number),
    "steps": list_of(is_count),
    "usage": _is_table,
    "agreement": list_of(is_number),
}


def _from_record(record: dict[str, Any], path: Path) -> FitCurves:
    check_record(record, _EXPECTED, path, "Delete the file; it is made anew.", tuple(_EXPECTED))
    curves = FitCurves(
        np.array(record["losses"], np.float64),
        np.array(record["steps"], np.int64),
        np.array(record["usage"] or np.zeros((0, 0)), np.float64),
        np.array(record["agreement"], np.float64),
    )
    points = len(curves.steps)
    if (len(curves.usage), len(curves.agreement)) != (points, points):
        raise CheckpointError(
            f"Expected {path} to hold {points} points of each curve, but got {len(curves.usage)} of"
            f" usage and {len(curves.agreement)} of agreement. Delete the file; it is made anew."
        )
    return curves
