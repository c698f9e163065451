"""Figure of some training images: photograph, truth, mask proposals, pseudo label, prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import OutputError
from primaps.outputs.visualize import MAX_COLOURS, outline, paint, palette
from primaps.types import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS: Final = ("image", "truth", "mask proposals", "pseudo label", "prediction")
CELL: Final = 2.2
"""Width of one picture in inches."""
_ALPHA: Final = 0.7


@dataclass(frozen=True)
class TrainingPanel:
    """One row of the figure; all arrays have the same size (H, W).

    Attributes:
        name: Name of the image.
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) integer class ids, 255 = unlabelled.
        proposals: (H, W) integer proposal ids, 0 = unassigned.
        pseudo_label: (H, W) integer class ids, 255 = none.
        prediction: (H, W) integer class ids, 255 = none.
    """

    name: str
    image: Image
    truth: NDArray[np.integer[Any]]
    proposals: NDArray[np.integer[Any]]
    pseudo_label: NDArray[np.integer[Any]]
    prediction: NDArray[np.integer[Any]]


def panels_figure(panels: Sequence[TrainingPanel], class_names: Sequence[str]) -> Figure:
    """Draw one row per image; a colour means the same class in truth, pseudo label and prediction.

    Args:
        panels: The images.
        class_names: Names by class id, for the legend: the classes that occur are listed.

    Returns:
        A figure that no window knows of.

    Raises:
        OutputError: If there is no image, or sizes or dtypes do not fit.
    """
    from matplotlib.figure import Figure

    if not panels:
        raise OutputError("Expected at least one image to draw, but got none.")
    height = sum(CELL * panel.image.shape[0] / panel.image.shape[1] + 0.1 for panel in panels)
    figure = Figure(figsize=(CELL * len(COLUMNS), height + 1.2), layout="constrained")
    axes = figure.subplots(len(panels), len(COLUMNS), squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        for ax, picture in zip(row, _pictures(panel), strict=True):
            ax.imshow(picture, interpolation="nearest")
            ax.set_axis_off()
        row[0].set_title(panel.name, fontsize=6, loc="left")
    for ax, title in zip(axes[0][1:], COLUMNS[1:], strict=True):
        ax.set_title(title, fontsize=9)
    _add_legend(figure, panels, class_names)
    return figure


def _pictures(panel: TrainingPanel) -> tuple[Image, ...]:
    colours = palette(MAX_COLOURS)
    truth, pseudo_label, prediction = (
        paint(panel.image, labels, colours, alpha=_ALPHA) for labels in _labelled(panel)
    )
    proposals = outline(panel.image, panel.proposals)
    return panel.image, truth, proposals, pseudo_label, prediction


def _labelled(panel: TrainingPanel) -> tuple[NDArray[np.integer[Any]], ...]:
    return panel.truth, panel.pseudo_label, panel.prediction


def _add_legend(
    figure: Figure, panels: Sequence[TrainingPanel], class_names: Sequence[str]
) -> None:
    from matplotlib.patches import Patch

    shown = np.unique(
        np.concatenate([np.unique(labels) for one in panels for labels in _labelled(one)])
    )
    colours = palette(MAX_COLOURS) / 255
    patches = [
        Patch(color=colours[label], label=class_names[label])
        for label in shown
        if label < len(class_names)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=7, frameon=False)
