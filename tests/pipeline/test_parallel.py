import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.errors import FailureLimitError, ImageError, OutputError
from primaps.pipeline import parallel
from primaps.progress import Stopped
from primaps.runs.watching import Unwatched
from primaps.types import ImageFile


class Steps:
    def __init__(self):
        self.count = 0

    def advance(self, steps=1):
        self.count += steps


def make_run(device="cpu"):
    backbone, failures = SimpleNamespace(device=torch.device(device)), []
    return SimpleNamespace(
        backbone=backbone,
        failures=failures,
        fail=failures.extend,
        most_failures=None,
        progress=Steps(),
        watch=Unwatched(),
    )


@pytest.fixture
def images(tmp_path):
    made = []
    for index in range(9):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.zeros((8, 8 + index, 3), np.uint8)).save(path)
        made.append(ImageFile(path, path.name))
    return made


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    monkeypatch.setattr(parallel, "usable_cores", lambda: 3)


def test_images_are_worked_on_side_by_side_by_one_thread_each(images):
    meeting, threads, run = threading.Barrier(3, timeout=20), [], make_run()
    before = torch.get_num_threads()

    def work(image):
        threads.append(torch.get_num_threads())
        meeting.wait()  # passes only if three images are at work at the same time

    parallel.for_each_image(run, images, "test", work)
    assert threads == [1] * 9
    assert run.progress.count == 9
    assert torch.get_num_threads() == before


def test_failures_come_in_the_order_of_the_images(images):
    gate, run = threading.Event(), make_run()

    def work(image):
        if image.name == "0.png":
            gate.wait(20)
        if image.name == "2.png":
            gate.set()
        if image.name in {"0.png", "2.png", "8.png"}:
            raise ImageError(image.name)

    parallel.for_each_image(run, images, "test", work)
    assert [failure.reason for failure in run.failures] == ["0.png", "2.png", "8.png"]
    assert run.progress.count == 9


def test_a_large_image_is_worked_on_alone(images):
    at_work, most, lock, run = set(), {}, threading.Lock(), make_run()
    pause = threading.Event()

    def work(image):
        with lock:
            at_work.add(image.name)
            for name in at_work:
                most[name] = max(most.get(name, 0), len(at_work))
        pause.wait(0.05)
        with lock:
            at_work.remove(image.name)

    parallel.for_each_image(run, images, "test", work, alone_from=8 * 14)  # the last two are larger
    assert {name for name, count in most.items() if count == 1} >= {"7.png", "8.png"}
    assert max(most.values()) > 1


def test_what_concerns_the_whole_run_ends_it(images):
    done, run = [], make_run()

    def work(image):
        if image.name == "1.png":
            raise OutputError("the disk is full")
        done.append(image)

    with pytest.raises(OutputError, match="the disk is full"):
        parallel.for_each_image(run, images * 20, "test", work)
    assert len(done) < 20


def test_other_devices_take_one_image_at_a_time(images):
    at_work, most = [], []

    def work(image):
        at_work.append(image)
        most.append(len(at_work))
        at_work.pop()

    parallel.for_each_image(make_run("meta"), images, "test", work)
    assert max(most) == 1


def test_nothing_to_do(images):
    run = make_run()
    parallel.for_each_image(run, [], "test", pytest.fail)
    assert run.progress.count == 0


def test_what_was_in_work_when_it_was_stopped_is_finished_and_told(images):
    run, meeting, kept = make_run(), threading.Barrier(3, timeout=20), []

    def stop(steps=1):
        raise Stopped

    def work(image):
        if len(kept) < 3:
            meeting.wait()  # three are at work when the first one is told
        kept.append(image.name)
        raise ImageError(image.name)

    run.progress.advance = stop
    with pytest.raises(Stopped):
        parallel.for_each_image(run, images, "test", work)
    assert sorted(failure.reason for failure in run.failures) == sorted(kept)
    assert [failure.reason for failure in run.failures] == sorted(kept)
    assert 3 <= len(kept) < len(images)


def test_more_failures_than_accepted_end_it(images):
    run = make_run("meta")  # one after the other
    run.most_failures = 2

    def work(image):
        raise ImageError(image.name)

    with pytest.raises(FailureLimitError):
        parallel.for_each_image(run, images, "test", work)
    assert 3 <= len(run.failures) < len(images)
