"""Short fits with a spread of settings, in pairs that differ by their seed alone."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from primaps.config import FitConfig

SNAPSHOTS: Final = 5
"""Per fit, the last one included."""
PHASES: Final[dict[str, Any]] = {"method": "em", "initialise": "pca", "em_on": "pixels"}
"""Principal directions, k-means of the tokens, EM on pixels: what is varied are settings of these.
"""
SPREAD: Final[dict[str, tuple[Any, ...]]] = {
    "share_of_steps": (1.0, 0.5, 0.25, 0.1),
    "em_learning_rate": (1e-3, 3e-4, 5e-3),
    "kmeans_epochs": (10, 3, 1),
    "feature_norm": (3.0, 1.0, 10.0),
    "min_agreement": (0.9, 0.5, 0.0),
}
"""What is varied; the first value of each is that of the first pair."""


@dataclass(frozen=True)
class Plan:
    """One fit.

    Attributes:
        seed: Of the fit.
        fit: All settings of the fit.
    """

    seed: int
    fit: FitConfig


def plans(count: int, max_steps: int, num_images: int, base: FitConfig) -> list[Plan]:
    """The first fits of an endless list, so that more of them can be asked for later.

    The principal directions that a fit starts from are those of a random half of the images,
    another half for another seed.

    Args:
        count: Number of fits.
        max_steps: Steps of the longest fits, in each of their phases.
        num_images: Training images.
        base: Settings that are not varied.
    """
    found = []
    for number in range(count):
        pair, seed = divmod(number, 2)
        generator = np.random.default_rng(pair)
        chosen = {
            name: values[0 if pair == 0 else generator.integers(len(values))]
            for name, values in SPREAD.items()
        }
        steps = max(1, round(max_steps * float(chosen.pop("share_of_steps"))))
        # The number of steps is what ends both phases, k-means unless its epochs do.
        fit = dataclasses.replace(
            base, **chosen, **PHASES, min_steps=1, max_steps=steps, pca_images=-(-num_images // 2)
        )
        epochs = math.ceil(steps / fit.steps_per_epoch(num_images))
        found.append(
            Plan(
                seed,
                dataclasses.replace(
                    fit, epochs=epochs, checkpoint_every=math.ceil(steps / SNAPSHOTS)
                ),
            )
        )
    return found
