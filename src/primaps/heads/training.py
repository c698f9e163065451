"""The loop that trains a head: any task that names its modules, its optimisers and its losses per
step.

All randomness derives from (seed, step) or (seed, epoch), so a training resumes at any step from
tensors alone and gives the same bytes as an undisturbed one, on the same machine with the same
number of threads (on a CPU; sums on a GPU may round differently from run to run).
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from primaps.errors import CheckpointError, DatasetError
from primaps.types import CheckpointStore


class Draw(enum.IntEnum):
    """What random numbers are for."""

    START = 0
    ORDER = 1
    STEP = 2
    POOL = 3
    CENTRES = 4


class HeadTask(ABC):
    """One way to train a head.

    Attributes:
        modules: Everything that training changes, by name.
        optimisers: By name; each is an Adam or AdamW over parameters of the modules.
        gradient_limits: Largest norm of a module's gradient, by the module's name; longer ones are
            scaled down.
    """

    modules: nn.ModuleDict
    optimisers: Mapping[str, torch.optim.Optimizer]
    gradient_limits: Mapping[str, float] = MappingProxyType({})

    @abstractmethod
    def losses(self, step: int) -> dict[str, Tensor]:
        """Terms of the loss of one step, by name; their sum is minimised.

        Called with the global generators seeded for this step, so that dropout is reproducible.
        """


def train_head(
    task: HeadTask,
    steps: int,
    *,
    seed: int,
    checkpoint: CheckpointStore | None = None,
    checkpoint_every: int = 50,
    progress: Callable[[int], None] | None = None,
) -> dict[str, list[float]]:
    """Train a head.

    Args:
        task: What is trained and how; its modules and optimisers are changed in place.
        steps: How many steps.
        seed: Of everything random.
        checkpoint: Where to resume from and to save to; None = neither.
        checkpoint_every: Steps between two checkpoints.
        progress: Called with the number of steps that are done: once at the start, then after every
            step.

    Returns:
        Every term of the loss, step by step.

    Raises:
        CheckpointError: If the checkpoint belongs to another task.
        DatasetError: If a loss is not finite.
    """
    history: dict[str, list[float]] = {}
    done = _resume(task, checkpoint, history)
    if progress is not None:
        progress(done)
    task.modules.train()
    device = next(task.modules.parameters()).device
    for step in range(done, steps):
        with seeded(seed, Draw.STEP, step, device):
            losses = task.losses(step)
        for optimiser in task.optimisers.values():
            optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        for name, limit in task.gradient_limits.items():
            nn.utils.clip_grad_norm_(task.modules[name].parameters(), limit)
        for optimiser in task.optimisers.values():
            optimiser.step()
        for name, loss in losses.items():
            history.setdefault(name, []).append(_finite(name, float(loss.detach()), step))
        if checkpoint is not None and step + 1 < steps and (step + 1) % checkpoint_every == 0:
            checkpoint.save(_state(task, step + 1, history))
        if progress is not None:
            progress(step + 1)
    task.modules.eval()
    return history


def generator(seed: int, draw: Draw, number: int) -> torch.Generator:
    """A generator on the CPU for one purpose and step, epoch or pool."""
    return torch.Generator().manual_seed(_entropy(seed, draw, number))


@contextmanager
def seeded(seed: int, draw: Draw, number: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators, which dropout and initial weights draw from; afterwards they are
    as they were.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(_entropy(seed, draw, number))
        yield


def batch_of(step: int, count: int, batch_size: int, smallest: int, seed: int) -> list[int]:
    """Numbers of the images or crops of one step: shuffled epochs.

    Args:
        step: Number of the step.
        count: How many there are.
        batch_size: Of a full batch.
        smallest: The last batch of an epoch is left out if it is smaller than this; if there is no
            other batch it stays.
        seed: Of the order.
    """
    full, rest = divmod(count, batch_size)
    epoch, number = divmod(step, max(1, full + (rest >= max(1, smallest))))
    order: list[int] = torch.randperm(count, generator=generator(seed, Draw.ORDER, epoch)).tolist()
    return order[number * batch_size :][:batch_size]


def _entropy(seed: int, draw: Draw, number: int) -> int:
    return int(
        np.random.SeedSequence([seed, draw, number]).generate_state(1, np.uint64)[0] >> np.uint64(1)
    )


_ADAM_KEYS: Final = ("step", "exp_avg", "exp_avg_sq")


def _moments(task: HeadTask) -> Iterator[tuple[str, torch.optim.Optimizer, Tensor]]:
    """Every optimised parameter with a name for its moments."""
    for name, optimiser in task.optimisers.items():
        parameters = [
            parameter for group in optimiser.param_groups for parameter in group["params"]
        ]
        for number, parameter in enumerate(parameters):
            yield f"optimiser.{name}.{number}", optimiser, parameter


def _state(task: HeadTask, step: int, history: Mapping[str, list[float]]) -> dict[str, Tensor]:
    """Flat dictionary of CPU tensors: all that is needed to go on."""
    tensors = {"step": torch.tensor(step)}
    tensors |= {f"module.{name}": value for name, value in task.modules.state_dict().items()}
    tensors |= {
        f"losses.{name}": torch.tensor(values, dtype=torch.float64)
        for name, values in history.items()
    }
    for name, optimiser, parameter in _moments(task):
        tensors |= {
            f"{name}.{key}": optimiser.state[parameter][key]
            for key in _ADAM_KEYS
            if optimiser.state[parameter]
        }
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def _resume(
    task: HeadTask, checkpoint: CheckpointStore | None, history: dict[str, list[float]]
) -> int:
    """Load the last checkpoint if there is one; returns the number of steps that are done."""
    tensors = checkpoint.load() if checkpoint is not None else None
    if tensors is None:
        return 0
    modules = {
        name.removeprefix("module."): value
        for name, value in tensors.items()
        if name.startswith("module.")
    }
    expected = {name: value.shape for name, value in task.modules.state_dict().items()}
    if "step" not in tensors or {name: value.shape for name, value in modules.items()} != expected:
        raise CheckpointError(
            "Expected the checkpoint to be one of this head, but it holds other tensors. Delete it."
        )
    task.modules.load_state_dict(modules)
    for name, optimiser, parameter in _moments(task):
        if f"{name}.step" in tensors:
            optimiser.state[parameter] = {
                # Adam counts its steps on the CPU.
                key: (
                    tensors[f"{name}.{key}"].to(
                        "cpu" if key == "step" else parameter.device, copy=True
                    )
                )
                for key in _ADAM_KEYS
            }
    history |= {
        name.removeprefix("losses."): tensors[name].tolist()
        for name in tensors
        if name.startswith("losses.")
    }
    return int(tensors["step"])


def _finite(name: str, loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise DatasetError(
            f"Expected every loss to be finite, but {name!r} is {loss} at step {step}. The features"
            " of an image hold NaN or infinity, or the learning rate is too high."
        )
    return loss
