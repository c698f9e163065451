import numpy as np

from primaps.outputs.png import figure_png
from primaps.outputs.tree_figure import TreeFacts, tree_figure
from primaps.types import NumberChoice

LINKS = np.array([(0, 2, 0.1, 0.5), (1, 3, 0.2, 0.7), (4, 5, 0.6, 1.0)])


def test_the_tree_has_a_line_per_merge_and_leaves_in_order():
    figure = tree_figure(TreeFacts(LINKS, ["0", "1", "2 road", "3"]))
    (axes,) = figure.axes
    assert len(axes.lines) == 3
    assert [each.get_text() for each in axes.get_yticklabels()] == ["0", "2 road", "1", "3"]
    assert figure_png(figure).startswith(b"\x89PNG")


def test_the_curve_stands_beside_it():
    choice = NumberChoice(3, ((2, 0.4), (3, 0.9), (4, 0.5)))
    _, curve = tree_figure(TreeFacts(LINKS, ["0", "1", "2", "3"], choice)).axes
    assert "3 chosen" in curve.get_title()
    assert list(curve.lines[0].get_ydata()) == [0.4, 0.9, 0.5]


def test_a_single_cluster_is_a_leaf_alone():
    (axes,) = tree_figure(TreeFacts(np.zeros((0, 4)), ["0"])).axes
    assert not axes.lines
