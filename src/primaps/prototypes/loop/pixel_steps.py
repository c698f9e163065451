"""The losses of steps on the pixels or tokens of a batch: what is drawn and read for them."""

from __future__ import annotations

import torch
from torch import Tensor

from primaps.prototypes.em import TrainingImage, expectation, kmeans_loss, student_loss
from primaps.prototypes.loop.state import State
from primaps.prototypes.loop.task import Draw, Task
from primaps.types import View


def kmeans_step(task: Task, state: State) -> Tensor:
    """Loss of a step of cosine k-means on the tokens of plain views.

    Returns:
        () float32, differentiable in the student's directions.
    """
    batch = task.workers.own(task.batch(state.phase, state.step))
    features = list(task.workers.each(lambda index: task.features(index, View()), batch))
    return kmeans_loss(state.student.direction, features, task.sums)


def em_step(task: Task, state: State) -> Tensor:
    """E-step of the teacher and loss of the student.

    Returns:
        () float32, differentiable in the student.
    """
    batch = task.batch(state.phase, state.step)
    generator = task.generator(state.phase, Draw.STEP, state.step)
    drawn = [(index, draw_views(task, generator)) for index in batch]
    images = list(
        task.workers.each(lambda pair: training_image(task, *pair), task.workers.own(drawn))
    )
    # Logits are linear: scaling K prototypes equals scaling all features.
    teacher, student = (
        prototypes.effective() * state.feature_scale
        for prototypes in (state.teacher, state.student)
    )
    votes = expectation(teacher, images, task.sums, task.config)
    return student_loss(student, images, votes, task.sums, task.config, generator)


def draw_views(task: Task, generator: torch.Generator) -> tuple[View, View]:
    """Of teacher and student: a random flip for both, a random photometric draw of the same
    geometry for the student.
    """
    views = task.source.views
    flip = bool(torch.rand((), generator=generator) < 0.5) and View(flip=True) in views
    draws = sorted(
        view.photometric for view in views if view.flip == flip and view.photometric is not None
    )
    choice = int(torch.randint(max(1, len(draws)), (), generator=generator))
    return View(flip), View(flip, draws[choice] if draws else None)


def training_image(task: Task, index: int, views: tuple[View, View]) -> TrainingImage:
    """One image of a step of EM.

    Args:
        task: The fit.
        index: Of the image.
        views: From `draw_views`.
    """
    of_teacher, of_student = views
    features = task.features(index, of_teacher)
    proposals = task.source.proposals(index).to(task.device)
    return TrainingImage(
        teacher_features=features,
        student_features=features if of_student == of_teacher else task.features(index, of_student),
        proposals=proposals.flip(1) if of_teacher.flip else proposals,
    )
