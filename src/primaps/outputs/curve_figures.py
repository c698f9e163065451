"""Figure of what changes over a fit: loss, usage of each prototype, agreement of student and
teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from primaps.outputs.visualize import MAX_COLOURS, palette
from primaps.types import FitCurves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_CLUSTERS: Final = 30
"""Up to so many prototypes are named beside their curves."""


def curves_figure(curves: FitCurves) -> Figure:
    """Draw the curves of a fit side by side; a prototype has the colour of its id.

    Args:
        curves: What to draw. Without snapshots the loss alone is drawn.

    Returns:
        A figure that no window knows of.
    """
    from matplotlib.figure import Figure

    plots = 3 if len(curves.steps) else 1
    figure = Figure(figsize=(4.6 * plots, 3.4), layout="constrained")
    axes = figure.subplots(1, plots, squeeze=False)[0]
    axes[0].plot(
        np.arange(1, len(curves.losses) + 1), curves.losses, color="#3c6fd1", linewidth=0.8
    )
    _label(axes[0], "loss", len(curves.losses))
    if plots == 3:
        _draw_usage(axes[1], curves)
        axes[2].plot(
            curves.steps, 100 * curves.agreement, color="#2b8a57", marker="o", markersize=3
        )
        _label(axes[2], "tokens that student and teacher\nclassify alike, %", len(curves.losses))
    return figure


def _draw_usage(ax: Axes, curves: FitCurves) -> None:
    num_clusters = curves.usage.shape[1]
    colours = palette(MAX_COLOURS) / 255
    for cluster in range(num_clusters):
        ax.plot(
            curves.steps,
            100 * curves.usage[:, cluster],
            color=colours[cluster],
            marker="o",
            markersize=2,
            label=str(cluster),
        )
    if num_clusters <= LEGEND_CLUSTERS:
        ax.legend(
            fontsize=6,
            ncols=1 + num_clusters // 16,
            title="prototype",
            title_fontsize=6,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
        )
    _label(ax, "tokens per prototype, %", len(curves.losses))


def _label(ax: Axes, title: str, steps: int) -> None:
    ax.set_title(title, fontsize=10)
    ax.set_xlabel("step", fontsize=8)
    ax.set_xlim(0, steps + 1)
    ax.tick_params(labelsize=8)
    ax.grid(visible=True, linewidth=0.3)
