"""The state of a fit that is under way: what a checkpoint holds, and the prototypes in it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from primaps.config import FitConfig
from primaps.errors import CheckpointError
from primaps.prototypes.classifier import Prototypes

_ROLES: Final = ("student", "teacher")
_PARAMETERS: Final = ("scale", "direction")


class Phase(enum.IntEnum):
    """What a fit is at; EM counts as one on proposals and on pixels."""

    PCA = 0
    KMEANS = 1
    EM = 2
    DONE = 3


@dataclass
class State:
    """All that a fit needs to go on.

    Attributes:
        student: The prototypes that are optimised.
        teacher: Those that follow them.
        phase: What the steps belong to.
        step: Steps of the phase that are done.
        feature_scale: Factor of the features as the backbone gives them.
        adam: Moments of the optimiser by name of parameter and moment; empty at the beginning of a
            phase.
        losses: Loss of every step of the phase.
    """

    student: Prototypes
    teacher: Prototypes
    phase: Phase = Phase.KMEANS
    step: int = 0
    feature_scale: float = 1.0
    adam: dict[str, Tensor] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)

    def begin_em(self) -> None:
        """Student and teacher start from the student's directions; their norm is kept, it sets the
        size of Adam's steps.
        """
        direction = self.student.direction.detach()
        scale = torch.ones(len(direction), device=direction.device)
        self.student = Prototypes(scale, direction.clone())
        self.teacher = Prototypes(scale.clone(), direction.clone())
        self.phase, self.step, self.adam, self.losses = Phase.EM, 0, {}, []

    def finish(self) -> None:
        """Nothing is left to do."""
        self.phase, self.adam = Phase.DONE, {}

    def to_tensors(self) -> dict[str, Tensor]:
        """Copies on the CPU, as a `CheckpointStore` takes them."""
        tensors = {
            "phase": torch.tensor(int(self.phase)),
            "step": torch.tensor(self.step),
            "feature_scale": torch.tensor(self.feature_scale, dtype=torch.float64),
            "losses": torch.tensor(self.losses, dtype=torch.float64),
            "student.scale": self.student.scale,
            "student.direction": self.student.direction,
            "teacher.scale": self.teacher.scale,
            "teacher.direction": self.teacher.direction,
            **{f"adam.{name}": value for name, value in self.adam.items()},
        }
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, Tensor], shape: tuple[int, int], device: torch.device
    ) -> State:
        """The inverse of `to_tensors`.

        Args:
            tensors: From a `CheckpointStore`.
            shape: (K, C) of the prototypes that are expected.
            device: Where the prototypes shall be.

        Raises:
            CheckpointError: If a tensor is missing, or the prototypes have another shape.
        """
        missing = {
            "phase",
            "step",
            "feature_scale",
            "losses",
            *(f"{who}.{what}" for who in _ROLES for what in _PARAMETERS),
        } - tensors.keys()
        if missing:
            raise CheckpointError(
                f"Expected the checkpoint to hold {sorted(missing)}, but it does not. Delete it and"
                " fit anew."
            )
        if tuple(tensors["student.direction"].shape) != shape:
            raise CheckpointError(
                f"Expected the checkpoint to hold prototypes of shape {shape}, but got"
                f" {tuple(tensors['student.direction'].shape)}. It belongs to another fit: delete"
                " it, or use another folder."
            )
        student, teacher = (
            Prototypes(
                **{what: tensors[f"{who}.{what}"].to(device, copy=True) for what in _PARAMETERS}
            )
            for who in _ROLES
        )
        return cls(
            student,
            teacher,
            phase=Phase(int(tensors["phase"])),
            step=int(tensors["step"]),
            feature_scale=float(tensors["feature_scale"]),
            adam={
                name.removeprefix("adam."): value
                for name, value in tensors.items()
                if name.startswith("adam.")
            },
            losses=tensors["losses"].tolist(),
        )


@dataclass(frozen=True)
class Snapshot:
    """The prototypes of a fit that is under way, in the form of `FitResult`.

    Attributes:
        step: Steps of the main phase that are done.
        teacher: (K, C) float32 effective prototypes.
        student: (K, C) float32 likewise; equal to the teacher for the baseline.
    """

    step: int
    teacher: Tensor
    student: Tensor


def snapshot(state: dict[str, Tensor], config: FitConfig) -> Snapshot | None:
    """The prototypes in a state that a `CheckpointStore` was given; None if its main phase has made
    no step or is over.
    """
    baseline = config.method == "baseline"
    if int(state["phase"]) != (Phase.KMEANS if baseline else Phase.EM) or int(state["step"]) == 0:
        return None
    scale = 1.0 if baseline else float(state["feature_scale"])
    student, teacher = (
        Prototypes(*(state[f"{who}.{what}"] for what in _PARAMETERS)).effective() * scale
        for who in _ROLES
    )
    return Snapshot(int(state["step"]), student if baseline else teacher, student)
