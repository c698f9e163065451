"""Figure of the iterative extraction of mask proposals, round by round (Hahn et al., TMLR 2024,
figure 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import OutputError
from primaps.outputs.visualize import MAX_COLOURS, paint, palette, resize_labels
from primaps.types import ExtractionStep, Image, MaskProposals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_ROUNDS: Final = 12
"""Rounds that are drawn; how many follow is said."""

CELL: Final = 2.4
"""Width of one picture in inches."""

COLUMNS: Final = (
    "what is left",
    "similarity to the\nprincipal direction, anchor",
    "similarity to the anchor",
    "mask",
    "what remains",
)


def steps_figure(
    image: Image,
    steps: Sequence[ExtractionStep],
    proposals: MaskProposals,
    max_rounds: int = MAX_ROUNDS,
) -> Figure:
    """Draw the rounds of one image, one per row, and the proposals they add up to.

    Args:
        image: (H, W, 3) uint8 RGB as the backbone saw it.
        steps: All rounds in order.
        proposals: The outcome, after the CRF, at the size of the image.
        max_rounds: Rows at most.

    Returns:
        A figure that no window knows of.

    Raises:
        OutputError: If there is no round to draw.
    """
    from matplotlib.figure import Figure

    if not steps:
        raise OutputError(
            "Expected at least one round of the extraction to draw, but there was none: the"
            " features are zero."
        )
    shown = steps[:max_rounds]
    height = CELL * image.shape[0] / image.shape[1]
    figure = Figure(
        figsize=(CELL * len(COLUMNS), (height + 0.25) * (len(shown) + 1) + 0.8),
        layout="constrained",
    )
    axes = figure.subplots(len(shown) + 1, len(COLUMNS), squeeze=False)
    for number, step in enumerate(shown):
        _draw_round(axes[number], image, step, number)
    for ax, title in zip(axes[0], COLUMNS, strict=True):
        ax.set_title(title, fontsize=9)
    _draw_outcome(axes[-1], image, steps, proposals)
    if len(steps) > len(shown):
        figure.text(
            0.99,
            0.003,
            f"{len(steps) - len(shown)} more rounds are not drawn",
            ha="right",
            fontsize=8,
        )
    return figure


def _draw_round(axes: NDArray[Any], image: Image, step: ExtractionStep, number: int) -> None:
    size = (image.shape[0], image.shape[1])
    cell = (size[0] / step.mask.shape[0], size[1] / step.mask.shape[1])
    row, column = ((index + 0.5) * side for index, side in zip(step.anchor, cell, strict=True))
    extent = (-0.5, size[1] - 0.5, size[0] - 0.5, -0.5)
    colour = palette(MAX_COLOURS)[[0, number % MAX_COLOURS]]
    _show(axes[0], _dimmed(image, step.available))
    for ax, values in ((axes[1], step.alignment), (axes[2], step.similarity)):
        _show(
            ax,
            np.ma.masked_array(values, ~step.available),
            cmap="coolwarm",
            vmin=-1,
            vmax=1,
            extent=extent,
        )
        ax.plot(column, row, marker="x", color="black", markersize=7, markeredgewidth=2)
    _show(axes[3], paint(image, resize_labels(step.mask.astype(np.uint8), size), colour, ignore=0))
    _show(axes[4], _dimmed(image, step.available & ~step.mask))
    axes[0].text(
        -0.04,
        0.5,
        f"round {number + 1}",
        transform=axes[0].transAxes,
        rotation=90,
        ha="right",
        va="center",
        fontsize=9,
    )


def _draw_outcome(
    axes: NDArray[Any], image: Image, steps: Sequence[ExtractionStep], proposals: MaskProposals
) -> None:
    """Last row: the photograph, all masks, and what the CRF makes of them."""
    raw = np.zeros(steps[0].mask.shape, dtype=np.int64)
    for number, step in enumerate(steps, start=1):
        raw[step.mask] = number
    colours = np.roll(palette(MAX_COLOURS), 1, axis=0)  # id 1 in the first colour, as above
    pictures = {
        "image": image,
        f"{len(steps)} masks": paint(
            image, resize_labels(raw, (image.shape[0], image.shape[1])), colours, ignore=0
        ),
        f"{proposals.num_masks} proposals after the CRF": paint(
            image, proposals.label_image, colours, ignore=0
        ),
    }
    for ax in axes:
        ax.set_axis_off()
    for ax, (title, picture) in zip(axes, pictures.items(), strict=False):
        _show(ax, picture)
        ax.set_title(title, fontsize=9)


def _dimmed(image: Image, kept: NDArray[np.bool_]) -> Image:
    """The photograph with everything but the kept tokens almost white."""
    keep = resize_labels(kept.astype(np.uint8), (image.shape[0], image.shape[1]))[..., None] > 0
    dimmed: Image = np.where(keep, image, 225 + image // 9).astype(np.uint8)
    return dimmed


def _show(ax: Axes, picture: NDArray[Any], **options: Any) -> None:
    ax.imshow(picture, interpolation="nearest", **options)
    ax.set_axis_off()
