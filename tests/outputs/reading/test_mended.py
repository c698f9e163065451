"""Masks on top of each other."""

import numpy as np
import pytest

from primaps.errors import ImageError
from primaps.outputs.reading.mended import Mark, painted


def test_the_later_mark_lies_on_top():
    marks = [Mark(0, lambda: np.ones((2, 2), bool)), Mark(4, lambda: np.ones((1, 2), bool), 1, 1)]
    assert painted("a", (2, 3), marks).tolist() == [[0, 0, -1], [0, 4, 4]]
    assert painted("a", (2, 3), []) is None


def test_damaged_masks_and_those_outside_are_refused():
    def damaged():
        raise ValueError("run lengths of 3 pixels")

    with pytest.raises(ImageError, match=r"a, 3 x 2 pixels, but got run lengths of 3"):
        painted("a", (2, 3), [Mark(0, damaged)])
    for place in ((1, 0), (0, -1)):
        with pytest.raises(ImageError, match="within 3 x 2 pixels"):
            painted("a", (2, 3), [Mark(0, lambda: np.ones((2, 2), bool), *place)])
