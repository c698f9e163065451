"""The steps of one phase: Adam on the student's loss, the teacher behind it, the state saved now
and then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
from torch import Tensor

from primaps.config import FitConfig
from primaps.progress import Stopped
from primaps.prototypes.em import update_teacher
from primaps.prototypes.loop.checks import finite_loss
from primaps.prototypes.loop.state import Phase, State
from primaps.prototypes.loop.task import Task

StepLoss = Callable[[Task, State], Tensor]
"""Gives the () loss of the step that the state is at."""

_ADAM_KEYS: Final = ("step", "exp_avg", "exp_avg_sq")


def descend(task: Task, state: State, step_loss: StepLoss) -> None:
    """Take the steps of the present phase that are left.

    Args:
        task: The fit.
        state: At k-means or EM; changed.
        step_loss: Loss of this phase.

    Raises:
        DatasetError: If a loss is not finite.
    """
    config, phase = task.config, state.phase.name.lower()
    steps = _steps(task, state.phase)
    watch = task.watch if state.phase is Phase.EM or config.method == "baseline" else None
    parameters = {"direction": state.student.direction}
    if state.phase is Phase.EM:
        parameters["scale"] = state.student.scale
    optimizer = _adam(parameters, state.adam, _learning_rate(config, state.phase))
    task.report(phase, state.step, steps)
    while state.step < steps:
        loss = step_loss(task, state)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        images = [] if config.on_proposals else task.batch(state.phase, state.step)
        state.losses.append(finite_loss(float(loss.detach()), images))
        if state.phase is Phase.EM and state.step > 0 and state.step % config.teacher_every == 0:
            call = state.step // config.teacher_every
            state.teacher = update_teacher(state.teacher, state.student, call, config.momentum)
        state.step += 1
        if state.step < steps and state.step % config.snapshot_distance == 0:
            _save(task, state, optimizer, parameters)
        if watch is not None:
            watch(state.step, state.losses[-1])
        try:
            task.report(phase, state.step, steps)
        except Stopped:  # between two steps, so that none is lost
            if state.step < steps:
                _save(task, state, optimizer, parameters)
            raise


def _save(
    task: Task, state: State, optimizer: torch.optim.Adam, parameters: Mapping[str, Tensor]
) -> None:
    """Save the state with the moments of the optimiser."""
    state.adam = {
        f"{name}.{key}": optimizer.state[value][key]
        for name, value in parameters.items()
        for key in _ADAM_KEYS
    }
    task.save(state)


def _steps(task: Task, phase: Phase) -> int:
    count = len(task.source)
    if phase is Phase.EM or task.config.method == "baseline":
        return task.config.main_steps(count)
    return task.config.kmeans_steps(count)


def _learning_rate(config: FitConfig, phase: Phase) -> float:
    if phase is not Phase.EM:
        return config.learning_rate
    return config.proposal_learning_rate if config.on_proposals else config.em_learning_rate


def _adam(
    parameters: dict[str, Tensor], moments: dict[str, Tensor], rate: float
) -> torch.optim.Adam:
    """The optimiser with the moments of a state, see `State.adam`, if there are any."""
    optimizer = torch.optim.Adam([value.requires_grad_() for value in parameters.values()], lr=rate)
    for name, value in parameters.items():
        known = {
            key: moments[f"{name}.{key}"].to(_adam_device(key, value.device), copy=True)
            for key in _ADAM_KEYS
            if f"{name}.{key}" in moments
        }
        if known:
            optimizer.state[value] = known
    return optimizer


def _adam_device(key: str, device: torch.device) -> torch.device:
    """Adam counts its steps on the CPU."""
    return torch.device("cpu") if key == "step" else device
