"""What the processes of the pool do: functions of (place, ...), called by name, and the small data
they work on.
"""

import contextlib
import dataclasses
import os
import time
from pathlib import Path

import numpy as np
import torch

from primaps.compute.cores import Workers
from primaps.config import FitConfig
from primaps.data.dataset import Sample
from primaps.errors import DatasetError
from primaps.prototypes.em import TrainingImage, expectation, student_loss
from primaps.prototypes.loop import task
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.prototypes.steps.choice import sums_on
from primaps.prototypes.steps.plain import PlainSums
from primaps.scoring import evaluate
from primaps.segmenter import Segmenter
from primaps.types import View

SMALL = FitConfig(
    cluster_restarts=3,
    tokens_per_proposal=2,
    proposal_steps=7,
    batch_size=3,
    epochs=3,
    kmeans_epochs=3,
    baseline_epochs=3,
    min_steps=1,
    learning_rate=0.02,
    em_learning_rate=0.02,
    pixels_per_image=64,
    teacher_every=3,
    checkpoint_every=2,
)
CLASSES = 4
KINDS = {
    "em": {"initialise": "pca"},
    "baseline": {"method": "baseline"},
    "proposals": {},
    "proposals, few": {"max_proposals": 13},
    "proposals, then pixels": {"em_on": "pixels"},
    "clusters": {"method": "clusters"},
}


def serve(place, connections):
    """Do what the test session asks for until it asks for nothing more."""
    connection = connections[place.group.rank]
    while (task := connection.recv()) is not None:
        name, args = task
        try:
            connection.send(globals()[name](place, *args))
        except Exception as error:  # noqa: BLE001 - for the test to look at
            connection.send(error)
    return "served"


class Blocks:
    """Images of two sizes with random tokens around a few centres; every quarter of an image is a
    proposal.
    """

    views = (View(), View(True), View(False, 0), View(True, 0))

    def __init__(self, count):
        generator = torch.Generator().manual_seed(3)
        self.centres, self.count, self.read = 3 * torch.randn(3, 8, generator=generator), count, []

    def __len__(self):
        return self.count

    def features(self, index, view):
        self.read.append(index)
        grid = (4, 6) if index % 2 else (6, 5)
        generator = torch.Generator().manual_seed(100 * index + (view.photometric is not None))
        cells = torch.randint(3, (2, 2), generator=generator)
        classes = cells[
            (torch.arange(grid[0]) * 2 // grid[0])[:, None], torch.arange(grid[1]) * 2 // grid[1]
        ]
        tokens = self.centres[classes].permute(2, 0, 1) + 0.5 * torch.randn(
            8, *grid, generator=generator
        )
        return (tokens.flip(2) if view.flip else tokens).half()

    def proposals(self, index):
        height, width = (32, 48) if index % 2 else (48, 40)
        return (
            (torch.arange(height) * 2 // height)[:, None] * 2 + torch.arange(width) * 2 // width + 1
        )


class Memory:
    """A checkpoint store that keeps all states."""

    def __init__(self, state=None):
        self.state, self.saved = state, []

    def load(self):
        return self.state

    def save(self, state):
        self.saved.append(state)


def fit(place, kind, count, exact=False, state=None, compiled=True):
    """Fitted prototypes, the images that were read, and the states that were saved."""
    source, memory = Blocks(count), Memory(state)
    config = dataclasses.replace(SMALL, **KINDS[kind], pixels_per_image=None if exact else 64)
    group = None if place is None else place.group
    with contextlib.nullcontext() if compiled else plain():
        result = fit_prototypes(source, CLASSES, config, seed=5, checkpoint=memory, group=group)
    return {"result": result, "read": source.read, "saved": memory.saved}


def em_step(place, exponent, exact, compiled=True):
    """Loss and gradient of a step on five images; a proposal counts by a power of its area."""
    threads, source = Workers(group=None if place is None else place.group), Blocks(5)
    student = source.centres.clone().requires_grad_()
    features, proposals = (
        [source.features(index, View()) for index in range(5)],
        [source.proposals(index) for index in range(5)],
    )
    # of several areas
    proposals = [torch.where(ids < index % 4 + 2, 1, ids) for index, ids in enumerate(proposals)]
    images = threads.own(
        [TrainingImage(each, each, ids) for each, ids in zip(features, proposals, strict=True)]
    )
    config = FitConfig(proposal_weight=exponent, pixels_per_image=None if exact else 64)
    sums = sums_on(torch.device("cpu"), threads) if compiled else PlainSums(threads)
    votes = expectation(source.centres, images, sums, config)
    loss = student_loss(student, images, votes, sums, config, torch.Generator().manual_seed(0))
    return loss.detach(), *torch.autograd.grad(loss, student)


@contextlib.contextmanager
def plain():
    """The steps as they are on a GPU."""
    before, task.sums_on = task.sums_on, lambda _, workers: PlainSums(workers)
    try:
        yield
    finally:
        task.sums_on = before


class Labelled:
    """A labelled data set of noise; image ``bad`` cannot be read."""

    class_names = ("one", "two", "three")
    colours = np.zeros((3, 3), dtype=np.uint8)

    def __init__(self, count, bad=None):
        self.count, self.bad = count, bad

    @property
    def image_paths(self):
        return tuple(Path(f"{index}.png") for index in range(self.count))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.bad:
            raise DatasetError(f"Expected image {index} to be readable, but it is bad.")
        generator = np.random.default_rng(index)
        size = (40, 56) if index % 2 else (48, 40)
        image = np.kron(
            generator.integers(0, 256, (size[0] // 8, size[1] // 8, 3)), np.ones((8, 8, 1))
        ).astype(np.uint8)
        labels = generator.integers(0, 3, size).astype(np.int64)
        labels[:5] = 255
        return Sample(f"{index}.png", Path(f"{index}.png"), image, labels)


def score(place, folder, count):
    """The evaluation of a saved model."""
    segmenter = Segmenter.load(folder, device="cpu")
    return evaluate(segmenter, Labelled(count), group=None if place is None else place.group)


def fails(place, how):
    """Process 1 fails; process 0 would wait for it for ever."""
    place.progress.note(f"process {os.getpid()}")
    if place.group.rank == 1:
        if how == "killed":
            os.kill(os.getpid(), 9)
        raise DatasetError("Expected process 1 to work, but it does not.")
    place.group.exchange({})
    time.sleep(600)


def goes_on(place):
    """Tells one step, and works on until it is ended."""
    place.progress.note(f"process {os.getpid()}")
    place.progress.advance()
    time.sleep(600)
