"""Features as a fit needs them: also where most of them are not kept afterwards."""

from __future__ import annotations

from pathlib import Path

from primaps.pipeline.extraction import extract
from primaps.pipeline.fitting import is_fitted
from primaps.pipeline.kept_store import fitted_views, kept_views
from primaps.runs.run import Run


def extract_for_fit(run: Run, model_folder: Path | None = None) -> None:
    """`primaps.pipeline.extraction.extract`, so that a fit can follow. Views that are not to be
    kept are made only if there is something to fit.

    Args:
        run: The run.
        model_folder: Where the model goes; None = the run's own.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    folder = run.folder.model if model_folder is None else model_folder
    kept = kept_views(run.config)
    wanted = max(kept, fitted_views(run.config))
    fitted_before = (folder / "model.json").exists()
    extract(run, kept if fitted_before else wanted)
    if fitted_before and kept < wanted and not is_fitted(run, folder):
        extract(run, wanted)
