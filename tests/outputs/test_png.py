"""Figures as files and pictures."""

import numpy as np
from matplotlib.figure import Figure

from primaps.outputs.png import figure_png, png_picture


def draw():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_the_same_figure_gives_the_same_file():
    data = figure_png(draw(), dpi=40)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert data == figure_png(draw(), dpi=40)


def test_a_file_becomes_a_picture():
    picture = png_picture(figure_png(draw(), dpi=40))
    assert picture.shape == (40, 80, 3)
    assert picture.dtype == np.uint8
    assert picture.min() < picture.max() == 255
