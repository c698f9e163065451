from pathlib import Path

import pytest

from primaps.runs.watching import watched
from primaps.types import ImageFile


class Told:
    def __init__(self):
        self.messages = []

    def begun(self, image):
        self.messages.append(("begun", image.name))

    def ended(self, image):
        self.messages.append(("ended", image.name))


def test_the_end_is_told_whatever_happens():
    told, image = Told(), ImageFile(Path("a.png"), "a.png")

    def work():
        with watched(told, image):
            assert told.messages == [("begun", "a.png")]
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        work()
    assert told.messages == [("begun", "a.png"), ("ended", "a.png")]
