"""The curves of scores over clicks, as a picture for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One data set with one backbone.

    Attributes:
        title: What it is.
        clicks: (n) numbers of clicks.
        accuracy: (n) lists of fractions, one per seed.
        miou: Likewise.
    """

    title: str
    clicks: Sequence[int]
    accuracy: Sequence[Sequence[float]]
    miou: Sequence[Sequence[float]]


def draw_curves(curves: Sequence[Curve], path: Path) -> None:
    """Accuracy and mIoU in per cent over clicks; lines are means over seeds, bands their range.

    Args:
        curves: What to draw.
        path: Of the picture; its folder is made.
    """
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    for axes, kind in zip(figure.subplots(1, 2), ("accuracy", "miou"), strict=True):
        for number, curve in enumerate(curves):
            colour = f"C{number}"
            values = [100 * np.asarray(each) for each in getattr(curve, kind)]
            means = [each.mean() for each in values]
            axes.plot(curve.clicks, means, "o-", color=colour, label=curve.title)
            axes.fill_between(
                curve.clicks,
                [each.min() for each in values],
                [each.max() for each in values],
                color=colour,
                alpha=0.2,
            )
        axes.set_xlabel("proposals named by hand")
        axes.set_title({"accuracy": "accuracy by name, %", "miou": "mIoU by name, %"}[kind])
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
