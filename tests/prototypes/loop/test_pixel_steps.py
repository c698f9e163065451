"""What steps on pixels and tokens draw and read."""

import pytest
import torch

from primaps.config import FitConfig
from primaps.prototypes.classifier import Prototypes
from primaps.prototypes.loop.pixel_steps import draw_views, em_step, kmeans_step, training_image
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Task
from primaps.types import View


def state(phase):
    directions = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    student, teacher = (Prototypes(torch.ones(3), directions.clone()) for _ in "ab")
    student.direction.requires_grad_()
    return State(student, teacher, phase=phase, feature_scale=0.5)


def test_teacher_and_student_share_the_geometry(source):
    task = Task(source, 4, FitConfig(), 0)
    generator, chosen = torch.Generator().manual_seed(0), set()
    for _ in range(60):
        source.loads.clear()
        one = training_image(task, 1, draw_views(task, generator))
        (_, teacher), (_, student) = source.loads
        assert teacher.photometric is None
        assert teacher.flip == student.flip
        expected = source.proposals(1).flip(1) if teacher.flip else source.proposals(1)
        assert torch.equal(one.proposals, expected)
        assert torch.equal(one.teacher_features, source.features(1, teacher))
        assert torch.equal(one.student_features, source.features(1, student))
        chosen.add((student.flip, student.photometric))
    assert chosen == {(flip, draw) for flip in (False, True) for draw in (0, 1)}


def test_a_view_is_read_once_where_both_see_it(source):
    one = training_image(Task(source, 4, FitConfig(), 0), 2, (View(), View()))
    assert source.loads == [(2, View())]
    assert one.student_features is one.teacher_features


@pytest.mark.parametrize(("step", "phase"), [(kmeans_step, Phase.KMEANS), (em_step, Phase.EM)])
def test_a_step_sees_its_batch_and_moves_the_student(source, step, phase):
    present, task = state(phase), Task(source, 3, FitConfig(batch_size=3, min_agreement=0.0), 0)
    loss = step(task, present)
    assert {index for index, _ in source.loads} == set(task.batch(phase, 0))
    assert (phase is Phase.EM) == any(view.photometric is not None for _, view in source.loads)
    loss.backward()
    assert present.student.direction.grad.abs().sum() > 0
    assert present.teacher.direction.grad is None
    assert torch.equal(step(task, present), loss)
