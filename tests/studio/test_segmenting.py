"""A photograph segmented for the studio."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra studio is not installed")

from primaps.errors import CheckpointError, ImageError
from primaps.studio import segmenting
from primaps.studio.segmenting import Segmenting
from primaps.studio.served import Served


@pytest.fixture
def made(folder):
    return Segmenting(Served(folder, lambda *_: None))


@pytest.fixture
def photo(draw, tmp_path):
    path = tmp_path / "photo"
    Image.fromarray(draw(3)).save(path, format="PNG")
    return path


def test_large_ones_are_reduced_for_the_browser(made, photo, monkeypatch):
    monkeypatch.setattr(segmenting, "shown_size", lambda *_: (40, 30))
    shown = made.shown(photo, None, None)
    assert (shown.width, shown.height) == (40, 30)
    ids = np.arange(24).reshape(4, 6)
    assert segmenting._reduced(ids, 3, 2).tolist() == [[7, 9, 11], [19, 21, 23]]


def test_the_other_backbone_stays_until_yet_another_comes(made, photo):
    made.shown(photo, None, "mini")
    first = made._other
    made.shown(photo, 0.5, "mini")
    assert made._other is first
    made.shown(photo, None, "texture")
    assert made._other[0] == "texture"


def test_what_is_missing_is_said(made, photo, folder, tmp_path):
    with pytest.raises(ImageError, match="there is none"):
        made.shown(tmp_path / "nothing", None, None)
    (folder / "model" / "model.json").unlink()
    with pytest.raises(CheckpointError, match="Expected a run with a model"):
        made.shown(photo, None, None)
