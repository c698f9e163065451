"""The figure of the curves holds the numbers that it was given."""

import numpy as np
import pytest

from primaps.outputs.curve_figures import curves_figure
from primaps.types import FitCurves


@pytest.fixture
def curves():
    usage = np.array([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0]])
    return FitCurves(np.array([0.9, 0.5, 0.4, 0.3]), np.array([2, 4]), usage, np.array([0.5, 0.8]))


def test_three_plots(curves):
    loss, usage, agreement = curves_figure(curves).axes
    assert loss.lines[0].get_xydata().tolist() == [[1, 0.9], [2, 0.5], [3, 0.4], [4, 0.3]]
    assert [line.get_ydata().tolist() for line in usage.lines] == [[50, 75], [25, 25], [25, 0]]
    assert [text.get_text() for text in usage.get_legend().get_texts()] == ["0", "1", "2"]
    assert agreement.lines[0].get_xydata().tolist() == [[2, 50], [4, 80]]


def test_without_snapshots_the_loss_alone():
    figure = curves_figure(
        FitCurves(np.array([0.9, 0.5]), np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros(0))
    )
    assert [ax.get_title() for ax in figure.axes] == ["loss"]


def test_many_prototypes_have_no_legend():
    usage = np.full((1, 31), 1 / 31)
    figure = curves_figure(FitCurves(np.ones(3), np.array([3]), usage, np.ones(1)))
    assert len(figure.axes[1].lines) == 31
    assert figure.axes[1].get_legend() is None
