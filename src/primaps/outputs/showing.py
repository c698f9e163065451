"""What a notebook shows of one photograph: `overlay`, an array, and `show`, a figure."""

from __future__ import annotations

import importlib
import io
from typing import TYPE_CHECKING, Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from primaps.errors import OutputError
from primaps.outputs.visualize import MAX_COLOURS, OPACITY, outline, paint, palette
from primaps.pictures import as_image
from primaps.types import IGNORE_INDEX, ClassTable, Image, ImageLike, MaskProposals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

LISTED: Final = 12
"""Classes that a legend names; the others are counted."""

_WIDTH: Final = 10.0
"""Of the figure, in inches."""


def overlay(
    image: ImageLike,
    regions: MaskProposals | NDArray[np.integer[Any]],
    *,
    classes: ClassTable | None = None,
    alpha: float = OPACITY,
    contours: bool = True,
) -> Image:
    """A photograph with its label map in colours, or with its mask proposals outlined.

    Under colours the photograph is grey and has only middle tones, so that a colour looks the same
    on dark and on light things. Mask proposals keep the colours of the photograph, since their ids
    mean nothing from one photograph to the next; what belongs to none is grey. Lines are dark on
    one side and light on the other.

    Args:
        image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W); the
            rules stand in `primaps.pictures`.
        regions: (H, W) label map of integer ids, 255 = unlabelled; or mask proposals.
        classes: Whose colours are taken; the label map then holds ids of classes, as
            ``segmenter.predict(image, names=True)`` gives them. None = a colour for each id.
        alpha: Opacity of the colours in [0, 1]; means nothing for mask proposals.
        contours: Draw the lines.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ImageError: If the image is none.
        OutputError: If sizes, dtypes or ranges do not fit, or an id is none of a class.
        ConfigError: If ``alpha`` is no number.

    Examples:
        >>> import numpy as np
        >>> import primaps as pm
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[0, 0, 255, 255]] * 2)
        >>> pm.overlay(image, labels, alpha=1.0, contours=False)[0, [0, 2]].tolist()
        [[230, 25, 75], [81, 81, 81]]
    """
    picture = as_image(image)
    if isinstance(regions, MaskProposals):
        return outline(picture, regions.label_image, contours=contours)
    if not isinstance(regions, np.ndarray):
        raise OutputError(
            "Expected a label map, a NumPy array (H, W) of whole numbers, or mask proposals, but"
            f" got {type(regions).__name__}."
        )
    if not isinstance(classes, ClassTable | None):
        raise OutputError(
            "Expected classes as a primaps.ClassTable, such as primaps.classes(...) gives, but got"
            f" {type(classes).__name__}."
        )
    colours = palette(MAX_COLOURS)
    for entry in classes.classes if classes is not None else ():
        colours[entry.id] = entry.colour
    painted = paint(picture, regions, colours, alpha, contours=contours)
    if classes is not None:
        _check_ids(regions, classes)
    return painted


@overload
def show(
    image: ImageLike,
    regions: MaskProposals | NDArray[np.integer[Any]],
    ax: None = None,
    *,
    classes: ClassTable | None = None,
) -> Figure: ...


@overload
def show(
    image: ImageLike,
    regions: MaskProposals | NDArray[np.integer[Any]],
    ax: Axes,
    *,
    classes: ClassTable | None = None,
) -> Figure | SubFigure: ...


def show(
    image: ImageLike,
    regions: MaskProposals | NDArray[np.integer[Any]],
    ax: Axes | None = None,
    *,
    classes: ClassTable | None = None,
) -> Figure | SubFigure:
    """Matplotlib figure of a photograph beside its mask proposals or its label map.

    A notebook draws the figure by itself, once. In a script save it,
    ``pm.show(image, proposals).savefig("x.png")``, or call ``plt.show()`` yourself: this function
    never does, and needs no display.

    Args:
        image: As for `overlay`.
        regions: As for `overlay`.
        ax: Draw only the painted photograph, into these axes, for example as one cell of your own
            grid.
        classes: As for `overlay`; the legend has their names.

    Returns:
        The figure drawn into.

    Raises:
        ImageError: As `overlay`.
        OutputError: Likewise.
    """
    picture = as_image(image)
    painted = overlay(picture, regions, classes=classes)
    if isinstance(regions, MaskProposals):
        caption = f"{regions.num_masks} mask proposals, {regions.coverage:.0%} of the pixels"
        shares = []
    else:
        shares = _shares(regions)
        caption = f"label map, {len(shares)} classes"
    if ax is not None:
        _draw(ax, painted, caption)
        return ax.figure
    from matplotlib import pyplot as plt

    height = min(12.0, 0.6 + _WIDTH / 2 * picture.shape[0] / picture.shape[1])
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(_WIDTH, height), layout="constrained", FigureClass=_figure_class()
    )
    _draw(left, picture, "photograph")
    _draw(right, painted, caption)
    if shares:
        _add_legend(figure, shares, classes)
    return figure


def _shares(labels: NDArray[np.integer[Any]]) -> list[tuple[int, float]]:
    """Ids in a label map and their fractions of its pixels, the largest first."""
    ids, counts = np.unique(labels[labels != IGNORE_INDEX], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [(int(ids[index]), float(counts[index] / labels.size)) for index in order]


def _check_ids(labels: NDArray[np.integer[Any]], classes: ClassTable) -> None:
    known = {each.id for each in classes.classes} | {IGNORE_INDEX}
    unknown = sorted(set(np.unique(labels).tolist()) - known)
    if unknown:
        raise OutputError(
            f"Expected ids of classes in the label map, but got {unknown}, which are none. Take"
            " segmenter.predict(image, names=True), or leave classes away."
        )


def _draw(ax: Axes, picture: Image, caption: str) -> None:
    ax.imshow(picture)
    ax.set_title(caption, fontsize=10)
    ax.set_axis_off()


def _add_legend(
    figure: Figure, shares: list[tuple[int, float]], classes: ClassTable | None
) -> None:
    from matplotlib.patches import Patch

    colours = palette(MAX_COLOURS)
    titles = {number: f"class {number}" for number, _ in shares}
    for entry in classes.classes if classes is not None else ():
        colours[entry.id], titles[entry.id] = entry.colour, entry.title
    seen = (colours * OPACITY + 128 * (1 - OPACITY)) / 255  # over the middle tone
    patches = [
        Patch(color=seen[number % MAX_COLOURS], label=f"{titles[number]}  {share:.0%}")
        for number, share in shares[:LISTED]
    ]
    if len(shares) > LISTED:
        patches.append(Patch(color="none", label=f"and {len(shares) - LISTED} more"))
    figure.legend(handles=patches, loc="outside lower center", ncols=6, fontsize=9, frameon=False)


def _figure_class() -> type[Figure]:
    """A figure that a notebook shows once, whether or not it is the last thing in a cell.

    The inline backend shows all open figures at the end of a cell, and a figure that is the cell's
    value again. This one is closed when it is shown.
    """
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _ipython_display_(self) -> None:
            notebook = importlib.import_module("IPython.display")  # there, since it called this
            stream = io.BytesIO()
            self.savefig(stream, format="jpeg", pil_kwargs={"quality": 88})
            plt.close(self)
            notebook.display(notebook.Image(data=stream.getvalue(), format="jpeg"))

    return Shown
