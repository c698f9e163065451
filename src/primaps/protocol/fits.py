"""The fits of a row, one per seed, and the prototypes that they pass through; or, without any fit,
those of a head.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Final

import torch

from primaps.pipeline.fitting import fit, fit_fingerprint, read_snapshots
from primaps.protocol.selection import Selected, last
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.run import Run

HEAD_FACTOR: Final = 2.0
"""The evaluation of STEGO and HP takes twice the cosines as scores (Hamilton et al., ICLR 2022, and
its code), which only the CRF notices.
"""


def fit_seed(run: Run, seed: int, *, events: Path | None = None) -> tuple[Path, list[Snapshot]]:
    """Fit prototypes, or load them if there are some with the same settings on the same images.

    Args:
        run: Its proposals stage is done. Fits lie beside its features, by fingerprint, so that rows
            can share them.
        seed: Of the fit.
        events: Where TensorBoard events go while it runs; None = nowhere.

    Returns:
        Folder of the model, and the candidates for selection in the order of their steps; the last
        one is the model's.

    Raises:
        CheckpointError: If snapshots of the model are missing or belong to another one.
        OutputError: If something cannot be written.
        MissingExtraError: If events are wanted and tensorboard is not installed.
    """
    seeded = dataclasses.replace(run, config=dataclasses.replace(run.config, seed=seed), counts={})
    folder = run.folder.root / "fits" / fit_fingerprint(seeded, seeded.usable_images())
    model = fit(seeded, folder, events=events)
    return folder, read_snapshots(model, folder)


def head_alone(centres: torch.Tensor) -> Selected:
    """What is measured of a head by itself: its cluster centres, which classify by cosine
    similarity.

    Args:
        centres: (K, D) float32, of any norm.

    Returns:
        Prototypes of norm `HEAD_FACTOR` after no step.
    """
    prototypes = torch.nn.functional.normalize(centres, dim=1) * HEAD_FACTOR
    return last([Snapshot(0, prototypes, prototypes)])
