"""The corridor that joins the stages: one resumable function per stage, and `segment`, which runs
them in order.

Whatever a stage has finished for an image lies on disk under a fingerprint of everything that
determined it. A stage skips what is current and makes the rest; a killed run therefore resumes, and
ends with the same bytes as an undisturbed one.

Comes in: a `primaps.runs.run.Run`, that is a folder, images, a backbone and settings.
Goes out: what the stages write into the folder, and their statistics in its record.
Open first: `commands`, then `extraction`, `fitting`, `labelling`.
"""

from primaps.pipeline.commands import (
    finishing,
    fit_again,
    open_prediction,
    predict_from_store,
    predict_images,
    predict_opened,
    proposals,
    report_again,
    segment,
)
from primaps.pipeline.extraction import extract
from primaps.pipeline.fitting import fit
from primaps.pipeline.naming_after_fit import fit_and_name
from primaps.pipeline.opening import ALL_STAGES, PROPOSAL_STAGES, open_run, reopen

__all__ = [
    "ALL_STAGES",
    "PROPOSAL_STAGES",
    "extract",
    "finishing",
    "fit",
    "fit_again",
    "fit_and_name",
    "open_prediction",
    "open_run",
    "predict_from_store",
    "predict_images",
    "predict_opened",
    "proposals",
    "reopen",
    "report_again",
    "segment",
]
