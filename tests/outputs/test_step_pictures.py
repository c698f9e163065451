"""The figure of the iterative extraction."""

import numpy as np
import pytest

from primaps.errors import OutputError
from primaps.outputs.step_pictures import COLUMNS, steps_figure
from primaps.types import ExtractionStep, MaskProposals


def make_step(column):
    mask = np.zeros((3, 4), dtype=bool)
    mask[:, column] = True
    available = np.zeros((3, 4), dtype=bool)
    available[:, column:] = True
    alignment = np.full((3, 4), -0.5, dtype=np.float32)
    return ExtractionStep(
        available, alignment, (1, column), np.where(mask, 0.9, 0.1).astype(np.float32), mask
    )


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


@pytest.fixture
def proposals():
    labels = np.zeros((24, 32), dtype=np.int32)
    labels[:, :8], labels[:, 8:16] = 1, 2
    return MaskProposals(labels, np.array([0.9, 0.8], dtype=np.float32))


def test_one_row_per_round_and_one_for_the_outcome(image, proposals):
    figure = steps_figure(image, [make_step(0), make_step(1)], proposals)
    assert len(figure.axes) == 3 * len(COLUMNS)
    assert [ax.get_title() for ax in figure.axes[: len(COLUMNS)]] == list(COLUMNS)
    assert [ax.get_title() for ax in figure.axes[2 * len(COLUMNS) :]][:3] == [
        "image",
        "2 masks",
        "2 proposals after the CRF",
    ]


def test_the_anchor_is_marked_in_the_middle_of_its_token(image, proposals):
    figure = steps_figure(image, [make_step(2)], proposals)
    (line,) = figure.axes[1].lines
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (2.5 * 8, 1.5 * 8)


def test_used_tokens_are_blank_in_the_maps_and_pale_in_the_photograph(image, proposals):
    figure = steps_figure(image, [make_step(1)], proposals)
    photograph, alignment = (
        figure.axes[0].images[0].get_array(),
        figure.axes[1].images[0].get_array(),
    )
    assert np.array_equal(photograph[:, 8:], image[:, 8:])
    assert photograph[:, :8].min() >= 225
    assert np.array_equal(alignment.mask, np.repeat([[True, False, False, False]], 3, axis=0))
    remaining = figure.axes[4].images[0].get_array()
    assert remaining[:, :16].min() >= 225
    assert np.array_equal(remaining[:, 16:], image[:, 16:])


def test_how_many_rounds_are_left_out_is_said(image, proposals):
    figure = steps_figure(
        image, [make_step(0), make_step(1), make_step(2)], proposals, max_rounds=1
    )
    assert len(figure.axes) == 2 * len(COLUMNS)
    assert [text.get_text() for text in figure.texts] == ["2 more rounds are not drawn"]


def test_no_round_is_an_error(image, proposals):
    with pytest.raises(OutputError, match="at least one round"):
        steps_figure(image, [], proposals)
