"""What can be measured of prototypes without any label, in the hope that it follows the mean IoU:
larger is meant as better.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import torch

from primaps.evaluation.matching import hungarian
from primaps.evaluation.probe import token_labels
from primaps.features.device import compute_device
from primaps.pipeline.fit_curves import sampled_names
from primaps.protocol.selection import cohens_kappa, most_stable
from primaps.prototypes.loop.curve_measures import measure_curves, token_classes
from primaps.prototypes.loop.state import Snapshot
from primaps.runs.run import Run
from primaps.types import View

CRITERIA: Final = {
    "agreement": (
        "Cohen's kappa of the teacher's classes in the plain view and in the other cached views"
        " (--select agreement)"
    ),
    "student_teacher": "share of the tokens that student and teacher classify alike (curves.json)",
    "proposals": (
        "Cohen's kappa of the teacher's class of a token and the winning class of its mask proposal"
    ),
    "balance": "entropy of the shares of the clusters, as a part of the largest possible one",
    "low_loss": "minus the mean loss of the steps since the snapshot before",
    "resampling": (
        "Cohen's kappa, after matching, with the fits that differ by their seed alone (half the"
        " images at their start)"
    ),
}


def measure_criteria(
    run: Run, candidates: Sequence[Snapshot], losses: Sequence[float], *, cosine: bool
) -> dict[str, list[float] | None]:
    """Every criterion but ``resampling`` for every snapshot of a fit; no ``agreement`` if only the
    plain view is stored.

    Args:
        run: Its proposals stage is done.
        candidates: Snapshots in the order of their steps, the last one after all of them.
        losses: Of every step.
        cosine: Whether they classify by cosine similarity.
    """
    compared = len(run.store.source(sampled_names(run)).views) > 1
    curves = measure_curves(
        run.store.source(sampled_names(run)), candidates, losses, cosine=cosine, device=_device(run)
    )
    starts = [0, *(one.step for one in candidates[:-1])]
    return {
        "agreement": (
            list(most_stable(run, candidates, cosine=cosine).criterion) if compared else None
        ),
        "student_teacher": curves.agreement.tolist(),
        "proposals": _proposals(run, candidates, cosine=cosine),
        "balance": [_entropy(shares) / np.log(len(shares)) for shares in curves.usage],
        "low_loss": [
            -float(np.mean(losses[start : one.step]))
            for start, one in zip(starts, candidates, strict=True)
        ],
    }


def resampling(
    run: Run, candidates: Sequence[Snapshot], others: Sequence[Sequence[Snapshot]], *, cosine: bool
) -> list[float]:
    """For every snapshot the mean agreement with those of other fits after as many steps.

    Args:
        run: Its proposals stage is done.
        candidates: Snapshots of one fit.
        others: Those of fits that differ by their seed alone, at the same steps; one or more.
        cosine: Whether they classify by cosine similarity.
    """
    tables = torch.zeros(
        len(others), len(candidates), *[len(candidates[0].teacher)] * 2, dtype=torch.int64
    )
    for _, (mine, *theirs) in _classes(run, [candidates, *others], cosine=cosine):
        for number, classes in enumerate(theirs):
            for step in range(len(candidates)):
                tables[number, step] += _table(mine[step], classes[step], tables.shape[-1])
    return [
        float(np.mean([cohens_kappa(_matched(table)) for table in tables[:, step]]))
        for step in range(len(candidates))
    ]


def _proposals(run: Run, candidates: Sequence[Snapshot], *, cosine: bool) -> list[float]:
    """Tokens without a proposal do not count."""
    clusters = len(candidates[0].teacher)
    tables = torch.zeros(len(candidates), clusters, clusters, dtype=torch.int64)
    for name, (classes,) in _classes(run, [candidates], cosine=cosine):
        proposals = run.store.proposals(name).numpy()
        ids = torch.from_numpy(
            token_labels(proposals, (classes.shape[1], classes.shape[2])).astype(np.int64)
        )
        for step, found in enumerate(classes):
            votes = _table(ids, found, int(ids.max()) + 1, clusters).argmax(1)
            tables[step] += _table(found[ids > 0], votes[ids[ids > 0]], clusters)
    return [cohens_kappa(table) for table in tables]


def _classes(
    run: Run, fits: Sequence[Sequence[Snapshot]], *, cosine: bool
) -> Iterator[tuple[str, list[torch.Tensor]]]:
    """Image by image its name, and per fit the (n, h, w) class of every token by every snapshot's
    teacher.
    """
    teachers = [torch.stack([one.teacher for one in fit]).to(_device(run)) for fit in fits]
    for name in sampled_names(run):
        features = run.store.features(name, View()).to(_device(run))
        yield name, [token_classes(features, teacher, cosine=cosine).cpu() for teacher in teachers]


def _table(
    rows: torch.Tensor, columns: torch.Tensor, count: int, width: int | None = None
) -> torch.Tensor:
    """(count, width) counts of pairs; width None = count."""
    width = count if width is None else width
    return torch.bincount(rows.flatten() * width + columns.flatten(), minlength=count * width).view(
        count, width
    )


def _matched(table: torch.Tensor) -> torch.Tensor:
    """The columns in the order in which they agree best with the rows."""
    return table[:, torch.from_numpy(np.argsort(hungarian(table.numpy())))]


def _entropy(shares: np.ndarray) -> float:
    known = shares[shares > 0]
    return float(-(known * np.log(known)).sum())


def _device(run: Run) -> torch.device:
    return compute_device(run.backbone.device)
