"""The steps of a phase on a loss of which the minimum is known."""

import pytest
import torch

from primaps.config import FitConfig
from primaps.errors import DatasetError
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.loop.descent import descend
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Task

CONFIG = FitConfig(
    initialise="pca",
    batch_size=2,
    epochs=10,
    kmeans_epochs=5,
    min_steps=1,
    learning_rate=0.1,
    em_learning_rate=0.1,
    teacher_every=4,
    checkpoint_every=6,
)
TARGET = torch.tensor([[1.0, 2.0], [3.0, 4.0]])


class Store:
    """A checkpoint store that keeps all states."""

    def __init__(self):
        self.saved = []

    def load(self):
        return None

    def save(self, state):
        self.saved.append(state)


def start(phase):
    return State(*(Prototypes(torch.ones(2), torch.eye(2)) for _ in "ab"), phase=phase)


def distance(_, state):
    return (state.student.scale[:, None] * state.student.direction - TARGET).square().sum()


@pytest.mark.parametrize(("phase", "steps"), [(Phase.KMEANS, 10), (Phase.EM, 20)])
def test_only_em_moves_lengths_and_teacher(phase, steps):
    state, told = start(phase), []
    task = Task(range(4), 2, CONFIG, 0, progress=lambda *call: told.append(call))
    descend(task, state, distance)
    assert told == [(phase.name.lower(), done, steps) for done in range(steps + 1)]
    assert len(state.losses) == state.step == steps
    assert state.losses[-1] < state.losses[0]
    assert torch.equal(state.student.scale, torch.ones(2)) == (phase is Phase.KMEANS)
    assert torch.equal(state.teacher.direction, torch.eye(2)) == (phase is Phase.KMEANS)


def test_a_saved_state_goes_on_to_the_same_bytes():
    store, whole = Store(), start(Phase.EM)
    descend(Task(range(4), 2, CONFIG, 0, checkpoint=store), whole, distance)
    assert [int(tensors["step"]) for tensors in store.saved] == [6, 12, 18]
    for tensors in store.saved:
        resumed = State.from_tensors(tensors, (2, 2), torch.device("cpu"))
        descend(Task(range(4), 2, CONFIG, 0), resumed, distance)
        assert resumed.losses == whole.losses
        assert torch.equal(resumed.student.direction, whole.student.direction)
        assert torch.equal(resumed.teacher.scale, whole.teacher.scale)


@pytest.mark.parametrize(("phase", "watched"), [(Phase.KMEANS, False), (Phase.EM, True)])
def test_the_loss_of_the_main_phase_is_watched(phase, watched):
    state, seen = start(phase), []
    descend(Task(range(4), 2, CONFIG, 0, watch=lambda *call: seen.append(call)), state, distance)
    assert seen == (list(enumerate(state.losses, start=1)) if watched else [])


def test_a_loss_that_is_no_number_names_the_images():
    task = Task(range(2), 2, CONFIG, 0)
    with pytest.raises(DatasetError, match=r"one of the images \[0, 1\]"):
        descend(task, start(Phase.EM), lambda *given: distance(*given) * torch.nan)
