import numpy as np
import pytest

from primaps.errors import OutputError
from primaps.outputs.cards import card


def scene(height=120, width=160):
    image = np.full((height, width, 3), (200, 40, 40), np.uint8)
    mask = np.zeros((height, width), bool)
    mask[50:70, 60:90] = True
    return image, mask


def test_a_card_shows_the_proposal_and_some_of_its_surroundings():
    image, mask = scene()
    found = card(image, mask)
    assert 20 < found.shape[0] < 60
    assert 30 < found.shape[1] < 70
    kept = (found == (200, 40, 40)).all(axis=2)
    assert kept.sum() == 20 * 30  # the proposal untouched, all else washed out
    assert (found == 255).all(axis=2).any()
    assert (found == 0).all(axis=2).any()


@pytest.mark.parametrize("tone", [0, 128, 255])
def test_what_is_around_is_told_from_a_grey_proposal(tone):
    _, mask = scene()
    found = card(np.full((120, 160, 3), tone, np.uint8), mask).astype(int)
    around = found[0, :, 0]
    assert around.min() < around.max() - 40  # hatched
    assert around.min() > 80  # and pale
    assert around.max() < 250  # not as white as the line


def test_the_longest_side_is_limited():
    image, mask = scene()
    mask[:] = True
    assert card(image, mask, side=80).shape == (60, 80, 3)


def test_a_proposal_at_the_edge_and_a_single_pixel():
    image, mask = scene()
    mask[:] = False
    mask[0, 159] = True
    found = card(image, mask)
    assert min(found.shape[:2]) > 10


def test_what_does_not_fit_is_refused():
    image, mask = scene()
    with pytest.raises(OutputError, match="size of the image"):
        card(image, mask[:10])
    with pytest.raises(OutputError, match="has none"):
        card(image, mask & False)
