"""Cards of proposals."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.outputs.cards import card
from primaps.outputs.label_files import read_label_image
from primaps.pipeline.viewing import Viewed
from primaps.studio.answering import Refused
from primaps.studio.cards import card_of


def test_a_card_is_that_of_the_table_of_suggestions(finished):
    viewed = Viewed(finished)
    photo = viewed.pixels("0.png", 1200)
    mask = read_label_image(finished / "proposals" / "0.png.png") == 1
    shown = np.array(Image.open(io.BytesIO(card_of(viewed, "0.png", 1))))
    expected = card(photo, mask)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 12  # JPEG


def test_a_proposal_that_is_not_there_is_said_to_be(finished):
    with pytest.raises(Refused, match="but got 999") as caught:
        card_of(Viewed(finished), "0.png", 999)
    assert caught.value.status == 404
