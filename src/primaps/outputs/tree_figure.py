"""Figure of how many classes there are: the tree of the clusters, and, where the number was
proposed, the score of every number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from primaps.types import NumberChoice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TreeFacts:
    """What the figure shows.

    Attributes:
        links: (K - 1, 4) one row per merge, in order: the two groups (a cluster 0..K-1, or K + i
            for what merge i made), height, size.
        titles: What the K clusters are called.
        choice: How the number was proposed; None = it was given.
    """

    links: NDArray[np.floating[Any]]
    titles: Sequence[str]
    choice: NumberChoice | None = None


def tree_figure(facts: TreeFacts) -> Figure:
    """Draw the tree with its leaves on the left, and the curve beside it if there is one.

    Args:
        facts: What to draw.

    Returns:
        A figure that no window knows of.
    """
    from matplotlib.figure import Figure

    curve = facts.choice is not None and bool(facts.choice.curve)
    plots = 2 if curve else 1
    height = max(3.4, 0.16 * len(facts.titles) + 1.0)
    figure = Figure(figsize=(4.6 + 4.6 * plots, height), layout="constrained")
    axes = figure.subplots(1, plots, squeeze=False, width_ratios=[2, 1][:plots])[0]
    _draw_tree(axes[0], facts)
    if facts.choice is not None and curve:
        _draw_curve(axes[1], facts.choice)
    return figure


def _draw_tree(ax: Axes, facts: TreeFacts) -> None:
    count, order = len(facts.titles), _leaves(facts)
    place = {leaf: float(row) for row, leaf in enumerate(order)}
    height = dict.fromkeys(order, 0.0)
    for made, (left, right, top, _) in enumerate(facts.links, start=count):
        first, second = int(left), int(right)
        ax.plot(
            [height[first], top**0.5, top**0.5, height[second]],
            [place[first], place[first], place[second], place[second]],
            color="#3c6fd1",
            linewidth=1,
        )
        place[made], height[made] = (place[first] + place[second]) / 2, float(top) ** 0.5
    ax.set_yticks(range(count), [facts.titles[leaf] for leaf in order], fontsize=7)
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    ax.set_title("tree of the clusters", fontsize=10)
    ax.set_xlabel("root of what the merge costs: growth of the mean squared distance", fontsize=8)
    ax.tick_params(axis="x", labelsize=8)


def _leaves(facts: TreeFacts) -> list[int]:
    """The clusters from top to bottom, so that no lines cross."""
    count = len(facts.titles)
    found, stack = list[int](), [count + len(facts.links) - 1]
    while stack:
        node = stack.pop()
        if node < count:
            found.append(node)
        else:
            first, second = facts.links[node - count, :2]
            stack += [int(second), int(first)]
    return found


def _draw_curve(ax: Axes, choice: NumberChoice) -> None:
    numbers, scores = zip(*choice.curve, strict=True)
    ax.plot(numbers, scores, color="#2b8a57", marker="o", markersize=3)
    ax.axvline(choice.value, color="#d99a00", linewidth=1)
    ax.set_title(f"score by number of classes ({choice.value} chosen)", fontsize=10)
    ax.set_xlabel("classes", fontsize=8)
    ax.tick_params(labelsize=8)
    ax.grid(visible=True, linewidth=0.3)
