"""What makes commands quick without a change of their text, and takes the place of what has to be
downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional as F

from primaps.config import FitConfig
from primaps.features.extractor import FrozenBackbone
from primaps.features.registry import BackboneSpec

STEPS: Final = 8
"""Of every fit, probe and training."""


class StandIn(FrozenBackbone):
    """In the place of a backbone that has to be downloaded: as many channels, at its stride, made
    of colours.
    """

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        colours = F.avg_pool2d(batch, self.patch_size)
        generator = torch.Generator().manual_seed(0)
        mixed = torch.randn(self.dim, colours.shape[1], generator=generator)
        return torch.einsum("dc,nchw->ndhw", mixed, colours).tanh()


def load_stand_in(spec: BackboneSpec, weights: Path | None, levels: str | None) -> FrozenBackbone:
    """As the loaders of `primaps.features` do, without weights."""
    del weights, levels
    return StandIn(spec)


def make_quick() -> None:
    """Put the stand-ins in place, and let fits, probes and trainings end after few steps."""
    from primaps.cli import head_commands
    from primaps.evaluation.probe import fit_linear_probe
    from primaps.features import backbone
    from primaps.heads import training
    from primaps.protocol import probing

    usual = backbone._factory
    backbone._factory = lambda spec: load_stand_in if spec.needs_download else usual(spec)
    main_steps, kmeans_steps = FitConfig.main_steps, FitConfig.kmeans_steps
    for name, steps in (("main_steps", main_steps), ("kmeans_steps", kmeans_steps)):
        setattr(FitConfig, name, _at_most(steps))
    probe, train, config = fit_linear_probe, training.train_head, head_commands._config
    replaced: dict[str, tuple[Any, Any]] = {
        "fit_linear_probe": (probing, lambda *given, steps: probe(*given, steps=min(steps, STEPS))),
        "train_head": (
            training,
            lambda task, steps, **named: train(task, min(steps, STEPS), **named),
        ),
        "_config": (head_commands, lambda kind, preset, _: config(kind, preset, STEPS)),
    }
    for name, (owner, quick) in replaced.items():
        setattr(owner, name, quick)


def _at_most(steps: Callable[[FitConfig, int], int]) -> Callable[[FitConfig, int], int]:
    return lambda config, images: min(steps(config, images), STEPS)


def warm_up() -> None:
    """Import what commands need, so that children need not."""
    import importlib
    import logging

    import matplotlib as mpl
    import timm  # noqa: F401

    import primaps

    mpl.use("agg")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    for name in ("matplotlib.pyplot", "scipy.optimize", "scipy.ndimage", "numba"):
        importlib.import_module(name)
    folder = Path(primaps.__file__).parent
    for part in ("cli", "pipeline", "proposals", "prototypes", "evaluation", "outputs", "heads"):
        for path in sorted((folder / part).rglob("*.py")):
            name = path.relative_to(folder.parent).with_suffix("").as_posix().replace("/", ".")
            importlib.import_module(name.removesuffix(".__init__"))
    torch.set_num_threads(1)
