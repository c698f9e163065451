"""Workers whose outputs are the usual folders."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from primaps.config import FailureLimit
from primaps.engine import folders, journal
from primaps.engine.limits import Limits
from primaps.errors import DatasetError

POISON = """
import os, signal, time
from dataclasses import dataclass
from primaps.engine.works import ProposalsWork

class Deadly:
    def __init__(self, watch):
        self.watch = watch
    def begun(self, image):
        self.watch.begun(image)
        if image.name.endswith("004.png"):
            os.kill(os.getpid(), signal.SIGSEGV)
    def ended(self, image):
        self.watch.ended(image)

@dataclass(frozen=True)
class PoisonWork(ProposalsWork):
    def make(self, run):
        run.watch = Deadly(run.watch)
        super().make(run)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def usual(tmp_path_factory, draw, propose):
    """Images, one of which is broken, and the folder that the ordinary command makes."""
    root = tmp_path_factory.mktemp("usual")
    images = draw(root / "images", 14)
    (images / "0" / "bad.jpg").write_text("no image")
    propose(images, root / "out")
    return images, root / "out"


def test_the_folder_is_that_of_the_ordinary_command(usual, tmp_path, propose, contents, heard):
    images, expected = usual
    outcome = propose(images, tmp_path / "out", heard, workers=2)
    assert contents(tmp_path / "out") == contents(expected)
    assert [failure.path for failure in outcome.failures] == [str(images / "0" / "bad.jpg")]
    assert heard.steps == 15
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["counts"]["engine"] == {"name": "local", "workers": 2, "workers_that_died": 0}
    assert record["status"] == "finished with failures"
    # again: nothing is left to be done but the broken one
    propose(images, tmp_path / "out", heard, workers=2)
    assert contents(tmp_path / "out") == contents(expected)
    assert heard.steps == 16


def test_an_image_that_ends_workers_is_a_failure_and_all_others_come_out(
    usual, tmp_path, propose, monkeypatch
):
    images, expected = usual
    (tmp_path / "poison_work.py").write_text(POISON)
    monkeypatch.syspath_prepend(str(tmp_path))
    import poison_work

    monkeypatch.setattr(folders, "ProposalsWork", poison_work.PoisonWork)
    monkeypatch.setattr(journal, "DEADLY", 1)  # each death costs the start of a worker
    outcome = propose(images, tmp_path / "out", workers=1)
    poisonous, broken = sorted(outcome.failures, key=lambda failure: failure.stage)
    assert poisonous.path == str(images / "1" / "004.png")
    assert "ended the worker process" in poisonous.reason
    assert "SIGSEGV" in poisonous.reason
    assert broken.path == str(images / "0" / "bad.jpg")
    made = {path.name for path in (tmp_path / "out" / "proposals").rglob("*.png")}
    assert made == {path.name for path in (expected / "proposals").rglob("*.png")} - {"004.png.png"}
    assert not (tmp_path / "out" / ".parts").exists()


def test_an_interrupted_command_goes_on_where_it_was(
    usual, tmp_path, propose, contents, heard, monkeypatch
):
    images, expected = usual

    def interrupted(*given):
        yield next(folders_given_out(*given))
        raise KeyboardInterrupt

    folders_given_out = folders.given_out
    with monkeypatch.context() as patch:
        patch.setattr(folders, "given_out", interrupted)
        with pytest.raises(KeyboardInterrupt):
            propose(images, tmp_path / "out", heard, workers=2)
    done = heard.steps
    assert (tmp_path / "out" / ".parts" / "plan.json").exists()
    propose(images, tmp_path / "out", heard, workers=2)
    assert contents(tmp_path / "out") == contents(expected)
    assert heard.steps <= 15 + 4 < 15 + done + 15


def test_too_many_failures_end_the_command(usual, tmp_path, propose):
    images, _ = usual
    with pytest.raises(DatasetError, match=r"at most 0 inputs .*but there are 1 .*is kept"):
        propose(images, tmp_path / "out", workers=1, max_failures=FailureLimit(number=0))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="enforced by Linux")
def test_an_image_that_takes_more_memory_than_it_may_is_a_failure(usual, tmp_path, propose, draw):
    images = draw(tmp_path / "images", 2)
    Image.new("RGB", (9000, 9000)).save(images / "large.png")
    outcome = propose(images, tmp_path / "out", workers=1, limits=Limits(memory=150_000_000))
    assert [Path(failure.path).name for failure in outcome.failures] == ["large.png"]
    assert "memory" in outcome.failures[0].reason
    assert len(list((tmp_path / "out" / "proposals").rglob("*.png"))) == 2
