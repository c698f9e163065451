"""Small drawn images, and folders compared byte by byte."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from primaps.engine.commands import Request, proposals
from primaps.engine.options import EngineOptions
from primaps.pipeline.beginning import Choice
from primaps.progress import Silent


class Heard(Silent):
    """Counts steps, keeps notes."""

    def __init__(self):
        self.steps, self.notes = 0, []

    def advance(self, steps=1):
        self.steps += steps

    def note(self, message):
        self.notes.append(message)


@pytest.fixture(scope="session")
def draw():
    """``draw(folder, count)``: images of 64 x 48 pixels with coloured areas."""

    def images(folder, count):
        for number in range(count):
            cells = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
            place = folder / f"{number % 3}"
            place.mkdir(parents=True, exist_ok=True)
            pixels = np.kron(cells, np.ones((8, 8, 1), dtype=np.uint8))
            Image.fromarray(pixels).save(place / f"{number:03d}.png")
        return folder

    return images


@pytest.fixture(scope="session")
def propose():
    """``propose(images, out, progress, **options)``: the proposals stage, as fast as it goes."""

    def run(images, out, progress=None, **options):
        request = Request(
            [str(images)], str(out), EngineOptions(**options), "cpu", False, progress or Heard()
        )
        return proposals(request, Choice(preset="fast", backbone="texture", device="cpu"))

    return run


@pytest.fixture(scope="session")
def contents():
    """``contents(folder)``: checksums of all files but those that tell of times and locks."""

    def of(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
            and path.name not in {"run.json", "metrics.prom"}
            and not path.name.endswith("-lock")
        }

    return of


@pytest.fixture
def heard():
    """Who is told of progress."""
    return Heard()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, segment_four):
    """Folder of a run over four photographs with four clusters."""
    return segment_four(tmp_path_factory.mktemp("finished"))
