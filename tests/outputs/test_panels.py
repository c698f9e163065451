"""The figure of training images."""

import numpy as np
import pytest

from primaps.errors import OutputError
from primaps.outputs.panels import COLUMNS, TrainingPanel, panels_figure
from primaps.outputs.visualize import paint, palette


@pytest.fixture
def panel():
    image = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    truth = np.zeros((12, 16), dtype=np.int64)
    truth[:, 8:] = 2
    truth[:3] = 255
    proposals = np.zeros((12, 16), dtype=np.int64)
    proposals[6:] = 1
    return TrainingPanel(
        "a.png", image, truth, proposals, np.where(proposals > 0, truth, 255), truth.clip(max=2)
    )


def test_a_row_per_image_and_a_legend_of_the_classes(panel):
    figure = panels_figure([panel, panel], ["sky", "hill", "disc"])
    assert len(figure.axes) == 2 * len(COLUMNS)
    assert [ax.get_title() for ax in figure.axes[1 : len(COLUMNS)]] == list(COLUMNS[1:])
    assert figure.axes[0].get_title(loc="left") == "a.png"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sky", "disc"]


def test_what_carries_no_class_has_no_colour(panel):
    image, truth, proposals, pseudo_label, prediction = (
        ax.images[0].get_array() for ax in panels_figure([panel], ["sky", "hill", "disc"]).axes
    )
    assert np.array_equal(image, panel.image)
    grey = paint(panel.image, np.full(panel.truth.shape, 255), palette(1))
    assert np.array_equal(truth[:1], grey[:1])
    for picture in (proposals, pseudo_label):
        assert np.array_equal(picture[:4], grey[:4])
    # Away from the lines between regions, one colour means one class everywhere.
    assert np.array_equal(truth[7:11, :7], prediction[7:11, :7])
    assert np.array_equal(truth[7:11, :7], pseudo_label[7:11, :7])
    assert not np.array_equal(truth[7:11, :7], image[7:11, :7])


def test_no_image_is_an_error():
    with pytest.raises(OutputError, match="at least one image"):
        panels_figure([], ["sky"])
