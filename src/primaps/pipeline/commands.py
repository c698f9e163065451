"""What the commands do: the stages in order, and the record of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from primaps.compute.processes import check_processes
from primaps.config import Config, differences, to_dict
from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.features.device import compute_device
from primaps.outputs.events import require_tensorboard, write_events
from primaps.pipeline.extraction import extract
from primaps.pipeline.extraction_for_fit import extract_for_fit
from primaps.pipeline.fit_curves import fit_curves
from primaps.pipeline.fitting import fit_fingerprint, fit_settings
from primaps.pipeline.kept_store import fitted_views, kept_views, require_views, shrink
from primaps.pipeline.labelling import Extras, empty_clusters, predict_new, predict_stored
from primaps.pipeline.naming_after_fit import check_names, fit_and_name, names_of_fit
from primaps.pipeline.number_of_classes import note_of_empty, recall_number, settle_number
from primaps.pipeline.opening import claim, open_run
from primaps.pipeline.overlays import write_overlays
from primaps.pipeline.overview import has_proposals, write_run_report
from primaps.pipeline.places import refuse_model_place
from primaps.pipeline.predicting import (
    claim_for_model,
    finish_predicted,
    refuse_run,
    run_on_store,
    take_names,
)
from primaps.progress import Progress
from primaps.runs.model import Model
from primaps.runs.run import Run, read_failures
from primaps.runs.store import fingerprint, hold, release
from primaps.types import FeatureExtractor

_REMEDY_OF_FIT: Final = (
    "Add --model DIR to fit beside it on the same features, or --overwrite to redo there what"
    " depends on them."
)


@contextlib.contextmanager
def finishing(run: Run, command: str, inputs: Sequence[str]) -> Iterator[None]:
    """Record a command in the run folder when it is done, and leave the folder to others in any
    case.

    Raises:
        OutputError: If the record cannot be written.
    """
    run.folder.record["command"] = command  # the report tells it
    try:
        yield
        run.folder.finish(command, inputs, run.seconds, run.counts, run.failures)
    except BaseException as error:
        with contextlib.suppress(OutputError):  # the error itself is what to report
            run.folder.stop(
                run.seconds, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            )
        raise
    finally:
        release(run.folder.root)


def segment(
    run: Run,
    *,
    command: str = "segment",
    inputs: Sequence[str] = (),
    extras: Extras | None = None,
) -> None:
    """The main job: proposals, prototypes, label maps, report. Resumable.

    Args:
        run: From `open_run`.
        command: For the record.
        inputs: Likewise.
        extras: What is made beside label maps.

    Raises:
        ConfigError: If ``classes.yaml`` or the corrections have a mistake.
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, command, inputs):
        _plan(run, extras or Extras())
        check_names(names_of_fit(run, None))
        extract_for_fit(run)
        model = fit_and_name(run)
        predict_stored(run, model, extras)
        note_of_empty(run, empty_clusters(run, model))
        if extras is not None and extras.overlays:
            write_overlays(run, model.fingerprint)
        write_run_report(run, inputs, fit_curves(run, model, run.folder.model))
        shrink(run)


def job_kind(run: Run) -> str:
    """Jobs of one kind take equally long per image on one machine."""
    settings = {**run.settings(), "fit": {**run.settings()["fit"], "seed": None}}
    return fingerprint([settings, compute_device(run.backbone.device).type])


def _plan(run: Run, extras: Extras) -> None:
    """Tell which stages come, and whether nothing of them is done yet, so that other jobs tell how
    long they take.
    """
    anew = not run.folder.store.exists() and not run.folder.model.exists()
    last = ("overlays", "curves", "report") if extras.overlays else ("curves", "report")
    run.progress.plan(
        ("proposals", "fit", "label maps", *last), job_kind(run), len(run.images) if anew else 0
    )


def proposals(run: Run, *, inputs: Sequence[str] = ()) -> None:
    """The proposals stage alone.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, "proposals", inputs):
        extract(run, kept_views(run.config))
        shrink(run)


def fit_again(
    run: Run,
    model_folder: Path | None,
    *,
    overwrite: bool = False,
    events: Path | None = None,
    processes: int = 1,
) -> Model:
    """Fit prototypes to what a run has stored.

    Args:
        run: From `reopen`.
        model_folder: Where the model goes; None = the run's own, whose settings must then agree.
        overwrite: Replace a model that was fitted with other settings.
        events: Where TensorBoard events of the fit go, while it runs and after it; None = nowhere.
        processes: As for `fit`.

    Raises:
        ConfigError: If there is a model that was fitted with other settings, so many processes
            cannot be had, or the model would lie in a run or among photographs.
        OutputError: If the model cannot be written.
        MissingExtraError: If events are wanted and tensorboard is not installed, or processes and
            Lightning Fabric is not.
        ProcessError: If a process was ended from outside.
    """
    check_processes(processes, compute_device(run.backbone.device))
    if events is not None:
        require_tensorboard()
    check_names(names_of_fit(run, model_folder))
    require_views(run, fitted_views(run.config))
    if model_folder is None:
        run.failures += read_failures(run.folder)  # a fit does not mend them
        run.folder.record["config"] = to_dict(run.config)
        recall_number(run, anew=overwrite)
        run.folder.claim({"fit": run.settings()["fit"]}, overwrite=overwrite, remedy=_REMEDY_OF_FIT)
        with finishing(run, "fit", run.folder.record.get("inputs", ())):
            return _fit_with_events(run, None, events, processes)
    refuse_model_place(model_folder, run.folder.root, run.images)
    hold(model_folder)
    try:
        settle_number(run, run.usable_images(), recorded=False)
        if not overwrite:
            refuse_other_model(run, model_folder)
        return _fit_with_events(run, model_folder, events, processes)
    finally:
        release(model_folder)


def _fit_with_events(
    run: Run, model_folder: Path | None, events: Path | None, processes: int
) -> Model:
    model = fit_and_name(run, model_folder, events=events, processes=processes)
    note_of_empty(run, model.fit.dead_clusters)
    if events is not None:
        folder = run.folder.model if model_folder is None else model_folder
        write_events(events, fit_curves(run, model, folder))
    return model


def refuse_other_model(run: Run, folder: Path) -> None:
    """Keep a fit out of a folder that holds a model of another one.

    Raises:
        ConfigError: If it does; every difference is named.
    """
    if not (folder / "model.json").exists():
        return
    model = Model.load(folder)
    if model.fingerprint != fit_fingerprint(run, run.usable_images()):
        wanted = json.loads(json.dumps(fit_settings(run, len(run.usable_images()))))
        listed = "\n  ".join(differences(model.settings, wanted))
        raise ConfigError(
            f"{folder} holds a model that was fitted with other settings or photographs:\n "
            f" {listed}\nChoose another folder for the model, or replace it (--overwrite, in Python"
            " overwrite=True)."
        )


def report_again(run: Run) -> None:
    """Write the report of a finished run, or of `predict`, anew.

    Raises:
        CheckpointError: If there is no model yet, or no stored image.
        ConfigError: If ``classes.yaml`` or the corrections have a mistake.
        OutputError: If it cannot be written.
    """
    record = run.folder.record
    if has_proposals(run) and not run.usable_images():
        raise CheckpointError(
            f"Expected stored features in {run.folder.store}, but found none that fit its settings."
            " Segment again."
        )
    run.failures += read_failures(run.folder)
    run.counts |= record.get("counts", {})
    run.seconds |= record.get("seconds", {})
    inputs = record.get("inputs", ())
    if not has_proposals(run):
        write_run_report(run, inputs)
        return
    model = Model.load(run.folder.model)
    write_run_report(run, inputs, fit_curves(run, model, run.folder.model))


def predict_images(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    model: Model,
    config: Config,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    names: Path | None = None,
    extras: Extras | None = None,
    command: str = "predict",
) -> Run:
    """Label maps of images that the prototypes were not fitted to, and a report.

    Args:
        inputs: Files, folders or patterns.
        out: Where everything goes.
        backbone: The one that the model was fitted to.
        model: The prototypes.
        config: All settings.
        overwrite: Redo what other settings made.
        progress: Who is told.
        names: Folder of the model, or of its run, whose names are taken; None = no names.
        extras: What is made beside label maps.
        command: For the record.

    Raises:
        ConfigError: If no input exists, ``out`` was made with other settings, or the model's names
            have a mistake.
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    refuse_run(Path(out), model)
    run = open_run(
        inputs,
        out,
        backbone,
        config,
        stages=("backbone", "predict"),
        overwrite=overwrite,
        progress=progress,
    )
    claim_for_model(run, model, overwrite=overwrite)
    with finishing(run, command, [str(given) for given in inputs]):
        take_names(run, model, names)
        predict_new(run, model, extras)
        finish_predicted(run, model, [str(given) for given in inputs], extras)
    return run


def predict_from_store(
    stored: Run,
    out: str | Path,
    model_folder: Path,
    given: Mapping[str, Any] = MappingProxyType({}),
    *,
    overwrite: bool = False,
    extras: Extras | None = None,
) -> Run:
    """Label maps of a run's photographs with another model that was fitted to its features, which
    are not computed again.

    Args:
        stored: The run, from `reopen`.
        out: Where everything goes; another folder than the run's.
        model_folder: Of the model, from ``primaps fit RUN --model``.
        given: Settings as for `primaps.config.with_settings`; others are the run's, and those of
            label maps the model's.
        overwrite: Redo what other settings made.
        extras: What is made beside label maps.

    Raises:
        CheckpointError: If there is no model, or it was fitted to other features.
        ConfigError: If ``out`` is the run or was made with other settings, or the model's names
            have a mistake.
        DatasetError: If nothing is stored.
        OutputError: If something cannot be written.
    """
    model = Model.load(model_folder)
    run = run_on_store(stored, Path(out), model, given)
    refuse_run(Path(out), model)
    claim(run, ("backbone", "predict"), overwrite=overwrite)
    claim_for_model(run, model, overwrite=overwrite)
    inputs = stored.folder.record.get("inputs", ())
    with finishing(run, "predict", inputs):
        take_names(run, model, model_folder)
        predict_stored(run, model, extras, stored)
        finish_predicted(run, model, inputs, extras)
    return run
