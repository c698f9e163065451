"""The fits of a row, one per seed, and the prototypes that they pass through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from primaps.pipeline.fitting import fit, fit_fingerprint, read_snapshots
from primaps.prototypes.fit import Snapshot
from primaps.run import Run


def fit_seed(run: Run, seed: int) -> tuple[Path, list[Snapshot]]:
    """Fit prototypes, or load them if there are some with the same settings on the same images.

    Args:
        run: Its proposals stage is done. Fits lie beside its features, by fingerprint, so that rows can share them.
        seed: Of the fit.

    Returns:
        Folder of the model, and the candidates for selection in the order of their steps; the last one is the model's.

    Raises:
        CheckpointError: If snapshots of the model are missing or belong to another one.
        OutputError: If something cannot be written.
    """
    seeded = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=seed), counts={})
    folder = run.folder.root / "fits" / fit_fingerprint(seeded, seeded.usable_images())
    model = fit(seeded, folder)
    return folder, read_snapshots(model, folder)
