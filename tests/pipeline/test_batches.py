import threading
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from primaps.errors import FailureLimitError, ImageError, OutputError
from primaps.features.preprocess import input_size
from primaps.pipeline import batches
from primaps.pipeline.batches import (
    BatchWork,
    for_each_batch,
    images_ahead,
    images_per_batch,
    works_in_batches,
)
from primaps.progress import Stopped
from primaps.types import ImageFile


class InWork:
    """Names of the images that are in work, and of all that were."""

    def __init__(self):
        self.now, self.ever = set(), []

    def begun(self, image):
        self.now.add(image.name)
        self.ever.append(image.name)

    def ended(self, image):
        self.now.remove(image.name)


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
    return SimpleNamespace(
        backbone=backbone,
        images=tuple(images),
        failures=[],
        most_failures=None,
        progress=Steps(),
        watch=InWork(),
    )


class Work:
    """Notes what it is given; ``bad`` maps stages to names of images that fail there."""

    def __init__(self, most=3, pixels=100, size=10, **bad):
        self.most, self.pixels, self.size, self.bad = most, pixels, size, bad
        self.batches, self.kept, self.lock = [], {}, threading.Lock()

    def load(self, image):
        if image.name in self.bad.get("load", ()):
            raise ImageError(f"load {image.name}")
        return image

    def compute(self, batch):
        names = [image.name for image in batch]
        if len(batch) > self.bad.get("memory", 99):
            raise torch.OutOfMemoryError("too large")
        self.batches.append(names)
        return [
            ImageError(f"compute {name}") if name in self.bad.get("compute", ()) else name.upper()
            for name in names
        ]

    def keep(self, image, made):
        if image.name in self.bad.get("keep", ()):
            raise OutputError("the disk is full")
        with self.lock:
            self.kept[image.name] = made

    def on(self, run, missing=None, ahead=10):
        kind = {image.name: index % 3 for index, image in enumerate(run.images)}
        work = BatchWork(
            load=self.load,
            alike=lambda image: kind[image.name],
            pixels=lambda _: self.pixels,
            most=lambda _: self.most,
            compute=self.compute,
            size=lambda _: self.size,
            keep=self.keep,
        )
        for_each_batch(run, run.images if missing is None else missing, "test", work, ahead)
        return self


def numbered(*lists):
    return [[f"{index}.png" for index in each] for each in lists]


def test_batches_hold_one_kind_and_are_done_when_full(run):
    work = Work().on(run)
    assert work.batches == numbered([0, 3, 6], [1, 4, 7], [2, 5, 8], [9])
    assert work.kept == {f"{index}.png": f"{index}.PNG" for index in range(10)}
    assert run.progress.count == 10
    assert (sorted(run.watch.ever), run.watch.now) == (
        [f"{index}.png" for index in range(10)],
        set(),
    )


@pytest.fixture
def windows_of_five(monkeypatch):
    monkeypatch.setattr(batches, "_WINDOW", 5)


def test_batches_stay_within_a_window(run, windows_of_five):
    assert Work().on(run).batches == numbered([0, 3], [1, 4], [2], [5, 8], [6, 9], [7])


def test_batches_are_done_before_they_are_full_where_their_images_are_large(run, monkeypatch):
    monkeypatch.setattr(batches, "_WAITING_PIXELS", 400)
    assert Work(most=9).on(run).batches == numbered([0, 3], [1], [2], [4, 7], [5], [6], [8], [9])
    # full ones wait for nothing
    assert Work(most=2).on(run).batches == numbered([0, 3], [1, 4], [2, 5], [6, 9], [7], [8])
    assert Work(most=9).on(run, missing=run.images[4:6]).batches == numbered([4, 7], [5])


def test_results_that_wait_for_their_writers_are_bounded_by_their_size(run, monkeypatch):
    """However large the window is: the next batch is begun once enough of the results are
    written.
    """
    monkeypatch.setattr(batches, "_WAITING_BYTES", 20)
    work, waiting, most = Work(most=1), set(), []
    compute, keep, never = work.compute, work.keep, threading.Event()

    def computed(batch):
        with work.lock:
            most.append(len(waiting))
            waiting.update(image.name for image in batch)
        return compute(batch)

    def kept(image, made):
        never.wait(0.03)  # batches are made much faster than that
        keep(image, made)
        with work.lock:
            waiting.remove(image.name)

    work.compute, work.keep = computed, kept
    work.on(run)
    assert max(most) <= 2
    assert len(work.kept) == 10


def test_images_are_read_no_further_ahead_than_asked(run):
    read, done, furthest = [], [], []
    work = Work(most=1)
    load, compute = work.load, work.compute

    def loaded(image):
        with work.lock:
            read.append(image.name)
        return load(image)

    def computed(batch):
        with work.lock:
            furthest.append(len(read) - len(done))
            done.extend(batch)
        return compute(batch)

    work.load, work.compute = loaded, computed
    work.on(run, ahead=3)
    assert len(done) == 10
    assert max(furthest) <= 3


def test_what_is_done_already_stays_in_its_batch_and_is_not_written_again(run):
    work = Work().on(run, missing=[run.images[7], run.images[9]])
    assert work.batches == numbered([1, 4, 7], [9])
    assert set(work.kept) == {"7.png", "9.png"}
    assert run.progress.count == 2


def test_windows_without_missing_images_are_not_read(run, windows_of_five):
    read = []
    work = Work()
    load = work.load
    work.load = lambda image: (read.append(image.name), load(image))[1]
    work.on(run, missing=[run.images[8]])
    assert sorted(read) == [f"{index}.png" for index in range(5, 10)]


def test_failures_are_reported_in_the_order_of_the_images_and_the_rest_goes_on(run):
    work = Work(load=["4.png", "0.png"], compute=["9.png", "2.png"]).on(run)
    assert [failure.reason for failure in run.failures] == [
        "load 0.png",
        "compute 2.png",
        "load 4.png",
        "compute 9.png",
    ]
    assert {failure.stage for failure in run.failures} == {"read"}
    assert len(work.kept) == 6
    assert run.progress.count == 10
    assert (sorted(run.watch.ever), run.watch.now) == (
        [f"{index}.png" for index in range(10)],
        set(),
    )


def test_a_batch_that_does_not_fit_the_memory_is_done_one_by_one(run):
    work = Work(memory=2).on(run)
    assert work.batches == numbered([0], [3], [6], [1], [4], [7], [2], [5], [8], [9])
    assert len(work.kept) == 10
    assert len(run.progress.notes) == 3
    assert not run.failures


def test_a_failed_allocation_on_the_host_is_lack_of_memory_too(run):
    work = Work()
    compute = work.compute

    def computed(batch):
        if len(batch) > 1:
            raise RuntimeError(
                "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
            )
        return compute(batch)

    work.compute = computed
    assert len(work.on(run).kept) == 10
    assert not run.failures


def test_an_image_that_does_not_fit_alone_holds_no_memory_while_others_are_done(run):
    class Tensors:
        pass

    work, held = Work(most=10), []
    compute = work.compute

    def computed(batch):
        assert not [ref for ref in held if ref() is not None]
        if batch[0].name == "0.png":
            tensors = Tensors()
            held.append(weakref.ref(tensors))
            raise torch.OutOfMemoryError("too large")
        return compute(batch)

    work.compute = computed
    work.on(run)
    assert len(held) == 2  # together with others, and alone
    assert [failure.path for failure in run.failures] == [str(run.images[0].path)]


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
    assert [works_in_batches(torch.device(kind)) for kind in ("cuda:1", "cpu", "mps")] == [
        True,
        False,
        False,
    ]


def test_batches_are_bounded_by_memory(monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=80 * 10**9)
    )
    gpu = torch.device("cuda")
    assert images_per_batch(320 * 320, gpu) == batches.MAX_BATCH
    assert 1 < images_per_batch(1280 * 1280, gpu) < 10
    assert images_per_batch(4096 * 4096, gpu) == 1
    assert 1 < images_per_batch(320 * 320, torch.device("cpu")) < batches.MAX_BATCH


@pytest.mark.parametrize("size", [96, 320, 518, 1280])
def test_the_longest_inputs_that_are_read_ahead_take_a_gigabyte_at_most(size):
    height, width = input_size(100, 5000, size, 14)
    assert images_ahead(size) * 3 * 4 * height * width < 1.1e9
    assert images_ahead(size) >= 5  # which is worth having threads for


def test_images_are_read_ahead_by_two_batches_at_most_and_two_images_at_least():
    assert images_ahead(96) == 2 * batches.MAX_BATCH
    assert images_ahead(320) > batches.MAX_BATCH
    assert images_ahead(4096) == 2


def test_what_is_being_written_when_it_is_stopped_is_finished(run):
    def stop(steps=1):
        raise Stopped

    run.progress.advance = stop
    work = Work(keep=())
    with pytest.raises(Stopped):
        work.on(run)
    computed = [name for batch in work.batches for name in batch]
    assert sorted(work.kept) == sorted(computed)
    assert len(computed) < 10


def test_more_failures_than_accepted_end_it(run):
    run.most_failures = 1
    work = Work(load=("0.png", "3.png", "6.png"))
    with pytest.raises(FailureLimitError):
        work.on(run)
    assert [failure.reason for failure in run.failures] == ["load 0.png", "load 3.png"]
