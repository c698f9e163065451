"""The script that takes the pictures of report and studio, up to the browser."""

import io
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from primaps.data.demo_views import Source
from primaps.pipeline.classes import read_classes

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("httpx", reason="httpx is not installed (extra `test`)")
    sys.path.insert(0, str(TOOLS))
    yield __import__("take_screenshots")
    sys.path.remove(str(TOOLS))


@pytest.mark.slow
def test_classes_are_named_by_what_lies_at_a_place(script, tmp_path, draw, monkeypatch):
    package = tmp_path / "drawn_package"
    package.mkdir()
    (package / "__init__.py").touch()
    for number in range(2):
        Image.fromarray(draw(number, 90, 120)).save(package / f"p{number}.png")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(script, "PLACES", (("a-left.png", 0.5, 0.05, "sky"),))
    sources = [Source(title, "drawn_package", f"p{n}.png", "CC0") for n, title in enumerate("ab")]
    run = script.named_run(tmp_path / "made", sources, "texture")
    assert [entry.name for entry in read_classes(run).classes if entry.name] == ["sky"]
    assert (run / "report.html").exists()
    shutil.rmtree(run)


def test_pictures_are_small_and_lose_nothing_that_is_seen(script):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:40] = (200, 40, 40)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    shown = np.asarray(Image.open(io.BytesIO(script.small(buffer.getvalue()))))
    assert np.abs(shown.astype(int) - picture).mean() < 3
