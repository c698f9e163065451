"""Settings of head training and their presets: published ones per data set, and our own for small
folders.

Sources: the configuration files of the official code of STEGO (github.com/mhamilton723/STEGO) and
HP (github.com/hynnsk/HP). Where released checkpoints were trained with other values, those (read
from them by github.com/merantix-momentum/stego-studies).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.heads.crops import CropConfig
from primaps.heads.stego_loss import Switches

Config = TypeVar("Config", "StegoConfig", "HPConfig")


@dataclass(frozen=True)
class StegoConfig:
    """How a STEGO head is trained (Hamilton et al., ICLR 2022).

    Attributes:
        preset: Name of the preset.
        switches: Variant and shifts of the correspondence loss.
        weight_self: Weight of the pairs within an image.
        weight_neighbour: Weight of the pairs with a neighbour.
        weight_random: Weight of the pairs with a random image.
        samples: Places per image and axis, S.
        negatives: Random images that each image is compared with per step.
        num_neighbours: Positives are drawn from so many nearest neighbours.
        dim: Channels of the code, D.
        dropout: Probability with which a channel is dropped.
        batch_size: Crops per step.
        steps: Steps of Adam.
        learning_rate: Of the head.
        cluster_learning_rate: Of the cluster centres.
        refit_centres: At the end the cluster centres are found anew, by k-means on the codes of the
            finished head; see `primaps.heads.kmeans`.
        crops: What the head sees of a photograph.
        checkpoint_every: Steps between two checkpoints.
    """

    switches: Switches
    weight_self: float
    weight_neighbour: float
    weight_random: float
    preset: str = "default"
    samples: int = 11
    negatives: int = 5
    num_neighbours: int = 7
    dim: int = 70
    dropout: float = 0.1
    batch_size: int = 16
    steps: int = 5000
    learning_rate: float = 5e-4
    cluster_learning_rate: float = 5e-3
    refit_centres: bool = False
    crops: CropConfig = dataclasses.field(default_factory=CropConfig)
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: If a value is out of range.
        """
        _check_counts(
            self, "samples", "negatives", "num_neighbours", "dim", "steps", "checkpoint_every"
        )
        _check_positive(self, "learning_rate", "cluster_learning_rate")
        if self.batch_size < 2:
            raise ConfigError(
                f"Expected batch_size to be 2 or more, for random pairs, but got {self.batch_size}."
            )

    def with_steps(self, steps: int) -> StegoConfig:
        """The same with another number of steps."""
        return dataclasses.replace(self, steps=steps)

    def num_steps(self, num_crops: int) -> int:  # noqa: ARG002 - HP counts in epochs
        """Steps of a training on so many crops."""
        return self.steps


@dataclass(frozen=True)
class HPConfig:
    """How an HP head is trained (Seong et al., CVPR 2023).

    Attributes:
        preset: Name of the preset.
        dim: Channels of the code, D.
        temperature: Of the contrastive loss, tau.
        consistency_weight: Weight of the consistency loss, alpha; 0 = no augmented images.
        kept: Share of the other tokens that anchors are compared with besides their positives, rho.
        pool_size: Tokens in the reference pools, M.
        momentum: Of the momentum head.
        warmup: Steps without task-specific positives.
        renew_every: Steps between two renewals of the pool of momentum codes.
        dropout: Probability with which a channel is dropped.
        batch_size: Crops per step; incomplete batches are dropped.
        epochs: Passes over the crops; ignored if ``steps`` is given.
        steps: Steps; None = by ``epochs``.
        learning_rate: Of the head (AdamW) and the embedding layer (Adam).
        weight_decay: Of the head.
        cluster_learning_rate: Of the cluster centres.
        clip: Largest norm of the head's gradient.
        clamp_jitter: Colour jitter works on normalised values and clamps them to [0, 1], as in the
            official code.
        photometric_views: Augmented versions of every crop that are drawn once and cached; None = a
            new one in every step, which costs one pass of the backbone per step.
        refit_centres: At the end the cluster centres are found anew, as in `StegoConfig`.
        unit_scale: Features are scaled to a root mean square of 1 over all channels before the head
            sees them; the finished head takes them as they are. See `primaps.heads.scaling`.
        crops: What the head sees of a photograph.
        checkpoint_every: Steps between two checkpoints.
    """

    preset: str = "default"
    dim: int = 512
    temperature: float = 0.6
    consistency_weight: float = 0.05
    kept: float = 0.02
    pool_size: int = 2048
    momentum: float = 0.999
    warmup: int = 50
    renew_every: int = 20
    dropout: float = 0.1
    batch_size: int = 64
    epochs: int = 30
    steps: int | None = None
    learning_rate: float = 5e-4
    weight_decay: float = 0.1
    cluster_learning_rate: float = 5e-3
    clip: float = 10.0
    clamp_jitter: bool = True
    photometric_views: int | None = None
    refit_centres: bool = False
    unit_scale: bool = False
    crops: CropConfig = dataclasses.field(default_factory=CropConfig)
    checkpoint_every: int = 20

    def __post_init__(self) -> None:
        """Check ranges.

        Raises:
            ConfigError: If a value is out of range.
        """
        _check_counts(
            self, "dim", "pool_size", "renew_every", "batch_size", "epochs", "checkpoint_every"
        )
        _check_positive(self, "temperature", "learning_rate", "cluster_learning_rate", "clip")
        for name in ("kept", "momentum"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(
                    f"Expected {name} to be between 0 and 1, but got {getattr(self, name)}."
                )
        if self.steps is not None and self.steps < 1:
            raise ConfigError(f"Expected steps to be 1 or more, but got {self.steps}.")
        if self.photometric_views is not None and self.photometric_views < 1:
            raise ConfigError(
                "Expected photometric_views to be 1 or more, or None, but got"
                f" {self.photometric_views}."
            )

    def with_steps(self, steps: int) -> HPConfig:
        """The same with another number of steps."""
        return dataclasses.replace(self, steps=steps)

    def num_steps(self, num_crops: int) -> int:
        """Steps of a training on so many crops."""
        return (
            self.epochs * max(1, num_crops // self.batch_size) if self.steps is None else self.steps
        )


WHOLE = CropConfig(mode="whole")
SMALL = CropConfig(resolution=160, resample="bilinear")

STEGO_PRESETS: dict[str, Callable[[], StegoConfig]] = {
    # Weights of the block active in the official configuration file; shifts for features joined
    # from levels, whose correlations are higher (docs/log.md); few steps on small crops, and
    # centres found anew at the end.
    "default": lambda: StegoConfig(
        Switches(0.3, 0.2, 0.35), 0.67, 0.25, 0.63, steps=150, refit_centres=True, crops=SMALL
    ),
    # ViT-B/8, as the released checkpoint.
    "cityscapes": lambda: StegoConfig(
        Switches(0.45828472207, 0.1754346515479633, 0.31361241889448443, pointwise=False),
        weight_self=1.0,
        weight_neighbour=0.577453483136995,
        weight_random=0.9058762625226623,
        dim=100,
        batch_size=32,
        steps=7000,
    ),
    # ViT-B/8, as the released checkpoint.
    "cocostuff": lambda: StegoConfig(
        Switches(0.12, 0.2, 1.0), 0.1, 1.0, 0.1538476246415498, dim=90, batch_size=32, steps=7000
    ),
    "cocostuff-vits8": lambda: StegoConfig(Switches(0.08, 0.02, 0.66), 0.67, 0.25, 0.63),
    # ViT-S/8, as the released checkpoint (a comment in the configuration file says 0.46 for the
    # last shift).
    "potsdam": lambda: StegoConfig(Switches(0.08, 0.02, 0.76), 0.67, 0.25, 0.63, crops=WHOLE),
}

HP_PRESETS: dict[str, Callable[[], HPConfig]] = {
    "default": lambda: HPConfig(
        dim=128,
        pool_size=1024,
        momentum=0.99,
        batch_size=8,
        steps=150,
        clamp_jitter=False,
        photometric_views=1,
        refit_centres=True,
        unit_scale=True,
        crops=dataclasses.replace(SMALL, resolution=128),
    ),
    "cityscapes": HPConfig,
    "cocostuff": lambda: HPConfig(
        temperature=0.8, momentum=0.99, warmup=1000, renew_every=100, epochs=3
    ),
    "potsdam": lambda: HPConfig(
        dim=256,
        temperature=0.4,
        consistency_weight=0.0,
        kept=1.0,
        pool_size=1024,
        warmup=100,
        epochs=10,
        crops=WHOLE,
    ),
}


def stego_preset(name: str) -> StegoConfig:
    """Settings of STEGO by name; see `STEGO_PRESETS`.

    Raises:
        ConfigError: If the name is unknown.
    """
    return _preset(STEGO_PRESETS, name)


def hp_preset(name: str) -> HPConfig:
    """Settings of HP by name; see `HP_PRESETS`.

    Raises:
        ConfigError: If the name is unknown.
    """
    return _preset(HP_PRESETS, name)


def _preset(presets: dict[str, Callable[[], Config]], name: str) -> Config:
    if name not in presets:
        raise ConfigError(
            f"Unknown preset {name!r} of a head.{did_you_mean(name, list(presets))} Choose one of"
            f" {', '.join(presets)}."
        )
    return dataclasses.replace(presets[name](), preset=name)


def _check_counts(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(f"Expected {name} to be 1 or more, but got {getattr(config, name)}.")


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        if not getattr(config, name) > 0:
            raise ConfigError(f"Expected {name} to be positive, but got {getattr(config, name)}.")
    if not 0.0 <= config.dropout < 1.0:
        raise ConfigError(
            f"Expected dropout to be a probability from 0 to below 1, but got {config.dropout}."
        )
