from __future__ import annotations

import numpy as np
import pytest

from primaps.data.bands import chosen_bands, is_opacity
from primaps.errors import ImageError


@pytest.mark.parametrize(
    ("count", "used", "text"),
    [
        (1, [0], None),
        (2, [0], "Band 1 of 2 is used as grey; --bands chooses others."),
        (3, [0, 1, 2], None),
        (4, [0, 1, 2], "Bands 1, 2 and 3 of 4 are used as red, green and blue"),
        (12, [0, 1, 2], "Bands 1, 2 and 3 of 12"),
    ],
)
def test_default_bands(count, used, text):
    found, note = chosen_bands(count, None, "x")
    assert found == used
    assert (note is None) == (text is None)
    assert text is None or text in note.text


def test_chosen_bands():
    assert chosen_bands(5, (4, 3, 2), "x")[0] == [3, 2, 1]
    assert chosen_bands(5, (5,), "x")[0] == [4]
    assert chosen_bands(5, (4, 3, 2), "x")[1].text == "Bands 4, 3, 2 of 5."
    assert chosen_bands(1, (4, 3, 2), "x") == ([0], None)  # grey has nothing to choose
    with pytest.raises(ImageError, match=r"bands 6, 1, 1, but x\.tif has 5. Choose others"):
        chosen_bands(5, (6, 1, 1), "x.tif")


def test_opacities_of_damaged_files_are_looked_at_in_silence():
    assert not is_opacity(np.array([[1e300, 2.0, np.nan, 0.5]]) / 4, 1e301)


def test_opacities():
    cut_out = np.zeros((40, 60))
    cut_out[10:30, 20:50] = 255
    assert is_opacity(cut_out, 255)
    soft = np.broadcast_to(np.linspace(0, 255, 60), (40, 60))
    assert is_opacity(soft, 255)
    assert is_opacity(np.full((4, 4), 255), 255)
    assert is_opacity(np.array([[255]]), 255)
    infrared = np.random.default_rng(0).normal(90, 20, (40, 60)).clip(0, 250)
    assert not is_opacity(infrared, 255)
    infrared[5:8] = 255  # overexposed
    assert not is_opacity(infrared, 255)
    assert not is_opacity(np.full((40, 60), 80), 255)
