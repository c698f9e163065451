from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from primaps.data.orientation import turned, upright, upright_mask


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_as_pictures_are(orientation):
    mask = np.random.default_rng(0).random((5, 9)) > 0.5
    expected = np.asarray(upright(PIL.Image.fromarray(mask), orientation))
    assert np.array_equal(upright_mask(mask, orientation), expected)
    assert upright_mask(None, orientation) is None


def test_note():
    assert turned(6).text == "Turned upright, as its orientation (6) says."
