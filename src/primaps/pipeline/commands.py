"""What the commands do: the stages in order, and the record of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from primaps.config import Config, to_dict
from primaps.model import Model
from primaps.pipeline.extraction import extract
from primaps.pipeline.fitting import fit
from primaps.pipeline.labelling import predict_new, predict_stored
from primaps.pipeline.opening import open_run
from primaps.pipeline.overview import write_run_report
from primaps.progress import Progress
from primaps.run import Run, read_failures
from primaps.store import release
from primaps.types import FeatureExtractor


@contextlib.contextmanager
def finishing(run: Run, command: str, inputs: Sequence[str]) -> Iterator[None]:
    """Record a command in the run folder when it is done, and leave the folder to others in any case.

    Raises:
        OutputError: If the record cannot be written.
    """
    try:
        yield
        run.folder.finish(command, inputs, run.seconds, run.counts, run.failures)
    finally:
        release(run.folder.root)


def segment(run: Run, *, command: str = "segment", inputs: Sequence[str] = ()) -> None:
    """The main job: proposals, prototypes, label maps, report. Resumable.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, command, inputs):
        extract(run)
        model = fit(run)
        predict_stored(run, model)
        write_run_report(run, model, inputs)


def proposals(run: Run, *, inputs: Sequence[str] = ()) -> None:
    """The proposals stage alone.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, "proposals", inputs):
        extract(run)


def fit_again(run: Run, model_folder: Path | None, *, overwrite: bool = False) -> Model:
    """Fit prototypes to what a run has stored.

    Args:
        run: From `reopen`.
        model_folder: Where the model goes; None = the run's own, whose settings must then agree.
        overwrite: Replace a model that was fitted with other settings.

    Raises:
        ConfigError: If the run's own model was fitted with other settings.
        OutputError: If the model cannot be written.
    """
    if model_folder is None:
        run.failures += read_failures(run.folder)  # a fit does not mend them
        run.folder.record["config"] = to_dict(run.config)
        run.folder.claim({"fit": run.settings()["fit"]}, overwrite=overwrite)
        with finishing(run, "fit", run.folder.record.get("inputs", ())):
            return fit(run)
    return fit(run, model_folder)


def report_again(run: Run) -> None:
    """Write the report of a finished run anew.

    Raises:
        CheckpointError: If there is no model yet.
        OutputError: If it cannot be written.
    """
    run.failures += read_failures(run.folder)
    run.counts |= run.folder.record.get("counts", {})
    run.seconds |= run.folder.record.get("seconds", {})
    write_run_report(run, Model.load(run.folder.model), run.folder.record.get("inputs", ()))


def predict_images(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    model: Model,
    config: Config,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Label maps of images that the prototypes were not fitted to.

    Raises:
        ConfigError: If no input exists, or ``out`` was made with other settings.
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    run = open_run(
        inputs,
        out,
        backbone,
        config,
        stages=("backbone", "predict"),
        weights=model.weights,
        overwrite=overwrite,
        progress=progress,
    )
    with finishing(run, "predict", [str(given) for given in inputs]):
        predict_new(run, model)
    return run
