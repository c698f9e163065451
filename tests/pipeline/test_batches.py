import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.errors import ImageError, OutputError
from primaps.pipeline import batches
from primaps.pipeline.batches import BatchWork, for_each_batch, images_per_batch, images_per_window, works_in_batches
from primaps.types import ImageFile


class Steps:
    def __init__(self):
        self.count, self.notes = 0, []

    def advance(self, steps=1):
        self.count += steps

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def run(tmp_path):
    """Ten images, whose width says their kind: 8, 9 or 10 pixels."""
    images = []
    for index in range(10):
        path = tmp_path / f"{index}.png"
        Image.fromarray(np.zeros((8, 8 + index % 3, 3), np.uint8)).save(path)
        images.append(ImageFile(path, path.name))
    backbone = SimpleNamespace(device=torch.device("cpu"))
    return SimpleNamespace(backbone=backbone, images=tuple(images), failures=[], progress=Steps())


class Work:
    """Notes what it is given; ``bad`` maps stages to names of images that fail there."""

    def __init__(self, most=3, **bad):
        self.most, self.bad, self.batches, self.kept, self.lock = most, bad, [], {}, threading.Lock()

    def load(self, image):
        if image.name in self.bad.get("load", ()):
            raise ImageError(f"load {image.name}")
        return image

    def compute(self, batch):
        names = [image.name for image in batch]
        if len(batch) > self.bad.get("memory", 99):
            raise torch.OutOfMemoryError("too large")
        self.batches.append(names)
        return [ImageError(f"compute {name}") if name in self.bad.get("compute", ()) else name.upper() for name in names]

    def keep(self, image, loaded, made):
        if image.name in self.bad.get("keep", ()):
            raise OutputError("the disk is full")
        with self.lock:
            assert loaded is image
            self.kept[image.name] = made

    def on(self, run, missing=None, window=10):
        kind = {image.name: index % 3 for index, image in enumerate(run.images)}
        work = BatchWork(self.load, lambda image: kind[image.name], lambda _: self.most, self.compute, self.keep)
        for_each_batch(run, run.images if missing is None else missing, "test", work, window)
        return self


def numbered(*lists):
    return [[f"{index}.png" for index in each] for each in lists]


def test_batches_hold_one_kind_and_are_done_when_full(run):
    work = Work().on(run)
    assert work.batches == numbered([0, 3, 6], [1, 4, 7], [2, 5, 8], [9])
    assert work.kept == {f"{index}.png": f"{index}.PNG" for index in range(10)}
    assert run.progress.count == 10


def test_batches_stay_within_a_window(run):
    assert Work().on(run, window=5).batches == numbered([0, 3], [1, 4], [2], [5, 8], [6, 9], [7])


def test_what_is_done_already_stays_in_its_batch_and_is_not_written_again(run):
    work = Work().on(run, missing=[run.images[7], run.images[9]])
    assert work.batches == numbered([1, 4, 7], [9])
    assert set(work.kept) == {"7.png", "9.png"}
    assert run.progress.count == 2


def test_windows_without_missing_images_are_not_read(run):
    read = []
    work = Work()
    load = work.load
    work.load = lambda image: (read.append(image.name), load(image))[1]
    work.on(run, missing=[run.images[8]], window=5)
    assert sorted(read) == [f"{index}.png" for index in range(5, 10)]


def test_failures_are_reported_in_the_order_of_the_images_and_the_rest_goes_on(run):
    work = Work(load=["4.png", "0.png"], compute=["9.png", "2.png"]).on(run)
    assert [failure.reason for failure in run.failures] == ["load 0.png", "compute 2.png", "load 4.png", "compute 9.png"]
    assert {failure.stage for failure in run.failures} == {"read"}
    assert len(work.kept) == 6
    assert run.progress.count == 10


def test_a_batch_that_does_not_fit_the_memory_is_done_one_by_one(run):
    work = Work(memory=2).on(run)
    assert work.batches == numbered([0], [3], [6], [1], [4], [7], [2], [5], [8], [9])
    assert len(work.kept) == 10
    assert len(run.progress.notes) == 3
    assert not run.failures


def test_an_image_that_does_not_fit_alone_is_reported(run):
    work = Work(memory=0).on(run)
    assert not work.kept
    assert len(run.failures) == 10
    assert "Not enough memory for this image" in run.failures[0].reason
    assert run.failures[0].stage == "test"


def test_what_concerns_the_whole_run_ends_it(run):
    with pytest.raises(OutputError, match="the disk is full"):
        Work(load=["0.png"], keep=["1.png"]).on(run)
    assert [failure.reason for failure in run.failures] == ["load 0.png"]


def test_a_bug_ends_the_run(run):
    work = Work()
    work.compute = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError):
        work.on(run)


def test_nothing_to_do(run):
    assert Work().on(run, missing=[]).batches == []


def test_only_cuda_works_in_batches():
    assert [works_in_batches(torch.device(kind)) for kind in ("cuda:1", "cpu", "mps")] == [True, False, False]


def test_batches_are_bounded_by_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 10**9))
    gpu = torch.device("cuda")
    assert images_per_batch(320 * 320, gpu) == batches.MAX_BATCH
    assert 1 < images_per_batch(1280 * 1280, gpu) < 10
    assert images_per_batch(4096 * 4096, gpu) == 1
    assert 1 < images_per_batch(320 * 320, torch.device("cpu")) < batches.MAX_BATCH


def test_windows_are_bounded_by_memory():
    assert images_per_window(320) == images_per_window(96) == 256
    assert images_per_window(640) == 64
    assert images_per_window(4096) == 1
