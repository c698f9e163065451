"""The state of a fit: what a checkpoint holds of it, and how it goes from phase to phase."""

import pytest
import torch

from primaps.errors import CheckpointError
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.loop.state import Phase, State


@pytest.fixture
def state():
    return State(
        Prototypes(torch.tensor([2.0, 3.0]), torch.tensor([[1.0, 0.0, 0.0], [0.0, 4.0, 3.0]])),
        Prototypes(torch.ones(2), torch.eye(2, 3)),
        step=5,
        feature_scale=0.1,
        adam={"direction.step": torch.tensor(5.0)},
        losses=[0.3, 0.2],
    )


def test_a_state_comes_back_from_tensors(state):
    found = State.from_tensors(state.to_tensors(), (2, 3), torch.device("cpu"))
    assert (found.phase, found.step, found.feature_scale) == (Phase.KMEANS, 5, 0.1)
    assert (found.losses, found.adam) == ([0.3, 0.2], state.adam)
    for one, other in ((found.student, state.student), (found.teacher, state.teacher)):
        assert torch.equal(one.effective(), other.effective())


def test_what_belongs_to_another_fit_is_refused(state):
    tensors, device = state.to_tensors(), torch.device("cpu")
    with pytest.raises(CheckpointError, match=r"shape \(3, 3\), but got \(2, 3\)"):
        State.from_tensors(tensors, (3, 3), device)
    del tensors["losses"]
    with pytest.raises(CheckpointError, match=r"hold \['losses'\]"):
        State.from_tensors(tensors, (2, 3), device)


def test_em_begins_with_the_directions_of_the_student(state):
    direction = state.student.direction.requires_grad_()
    state.begin_em()
    assert (state.phase, state.step, state.adam, state.losses) == (Phase.EM, 0, {}, [])
    for part in (state.student, state.teacher):
        assert torch.equal(part.direction, direction)
        assert torch.equal(part.scale, torch.ones(2))
        assert not part.direction.requires_grad
    state.student.direction[0, 0] = 9
    assert state.teacher.direction[0, 0] == direction[0, 0] == 1


def test_a_finished_fit_keeps_its_losses_and_no_moments(state):
    state.finish()
    assert (state.phase, state.step, state.adam) == (Phase.DONE, 5, {})
    assert state.losses == [0.3, 0.2]
