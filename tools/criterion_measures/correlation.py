"""How far a criterion follows the mean IoU: over fits, over snapshots, and within single fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from scipy import stats

_NO_P: Final = {"pearson_p": None, "spearman_p": None}


def correlation(criterion: Sequence[float], miou: Sequence[float]) -> dict[str, Any]:
    """Pearson's and Spearman's coefficient with their p-values; None where three values are missing
    or all are equal.
    """
    empty = dict.fromkeys(("pearson", "pearson_p", "spearman", "spearman_p"))
    if len(miou) < 3 or np.ptp(criterion) < 1e-12 or np.ptp(miou) < 1e-12:
        return {"n": len(miou), **empty}
    pearson, spearman = stats.pearsonr(criterion, miou), stats.spearmanr(criterion, miou)
    found = (pearson.statistic, pearson.pvalue, spearman.statistic, spearman.pvalue)
    return {"n": len(miou), **dict(zip(empty, map(float, found), strict=True))}


def summary(fits: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """One criterion over all fits that have it.

    Args:
        fits: Each with ``miou`` and ``criteria``, by snapshot in the order of steps.
        name: Of the criterion.

    Returns:
        ``across_fits``: last snapshots. ``across_snapshots``: all snapshots of all fits.
        ``within_fits``: all snapshots, criterion and mIoU minus their means over the fit, so that
        only differences within fits count; and the mean of the fits' own coefficients. p-values
        stand beside ``across_fits`` alone, because snapshots of one fit are no independent draws.
        ``choice``: mean mIoU of what would be chosen within fits, and of a choice among the last
        ones of all.
    """
    known = [
        (fit["criteria"][name], fit["miou"])
        for fit in fits
        if fit["criteria"].get(name) is not None
    ]
    if not known:
        return {"fits": 0}
    last = [(criterion[-1], miou[-1]) for criterion, miou in known]
    pooled = [pair for criterion, miou in known for pair in zip(criterion, miou, strict=True)]
    centred = [
        pair
        for criterion, miou in known
        for pair in zip(_centred(criterion), _centred(miou), strict=True)
    ]
    single = [correlation(criterion, miou) for criterion, miou in known]
    return {
        "fits": len(known),
        "across_fits": _of_pairs(last),
        "across_snapshots": {**_of_pairs(pooled), **_NO_P},
        "within_fits": {
            **_of_pairs(centred),
            **_NO_P,
            "fits_with_coefficient": sum(one["spearman"] is not None for one in single),
            "mean_pearson": _mean([one["pearson"] for one in single]),
            "mean_spearman": _mean([one["spearman"] for one in single]),
        },
        "choice": {
            "snapshot_chosen": _mean([miou[_best(criterion)] for criterion, miou in known]),
            "snapshot_last": _mean([miou[-1] for _, miou in known]),
            "snapshot_best": _mean([max(miou) for _, miou in known]),
            "fit_chosen": last[_best([criterion for criterion, _ in last])][1],
            "fit_mean": _mean([miou for _, miou in last]),
            "fit_best": max(miou for _, miou in last),
        },
    }


def _best(criterion: Sequence[float]) -> int:
    """Of equal ones the last, as --select agreement does."""
    return max(range(len(criterion)), key=lambda index: (criterion[index], index))


def _centred(values: Sequence[float]) -> list[float]:
    mean = float(np.mean(values))
    return [value - mean for value in values]


def _of_pairs(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    criterion, miou = zip(*pairs, strict=True)
    return correlation(criterion, miou)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
