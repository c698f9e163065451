"""Figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED_CLASSES: Final = 30
"""Up to so many classes the numbers are written into the cells."""


def row_shares(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each true class that got each class.

    Args:
        table: (n, m) counts, rows = truth.

    Returns:
        (n, m) float64, rows sum to 1; NaN in the rows of classes that do not occur.
    """
    total = table.sum(axis=1, keepdims=True)
    shares = np.full(table.shape, np.nan)
    np.divide(table, total, out=shares, where=total > 0)
    return shares


def confusion_figure(table: NDArray[np.int64], class_names: Sequence[str]) -> Figure:
    """Draw a confusion matrix, normalised by rows; rows of classes that do not occur stay blank.

    Args:
        table: (n, n) pixel counts, rows = truth, columns = prediction.
        class_names: n names.

    Returns:
        A figure that no window knows of.

    Raises:
        OutputError: If table and names do not fit.
    """
    from matplotlib.figure import Figure

    count = len(class_names)
    if table.shape != (count, count):
        raise OutputError(
            f"Expected a table of {count} x {count} classes, one per name, but got {table.shape}."
        )
    shares = row_shares(table)
    side = 2.2 + 0.42 * count
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    ax = figure.subplots()
    shown = ax.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    ax.set_xticks(range(count), class_names, rotation=90, fontsize=8)
    ax.set_yticks(range(count), class_names, fontsize=8)
    ax.set_xlabel("prediction")
    ax.set_ylabel("truth")
    if count <= NUMBERED_CLASSES:
        for row, column in np.argwhere(~np.isnan(shares)):
            share = shares[row, column]
            colour = "white" if share > 0.5 else "black"
            ax.text(
                column,
                row,
                f"{100 * share:.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color=colour,
            )
    figure.colorbar(shown, ax=ax, shrink=0.8, label="% of the true class")
    return figure
