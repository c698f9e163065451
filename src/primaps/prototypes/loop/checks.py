"""What a fit refuses: settings out of range, initial prototypes that do not fit, losses that are no
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import get_args

from torch import Tensor

from primaps.config import MAX_CLASSES, FitConfig, FitOn, Initialise, Method
from primaps.errors import ConfigError, DatasetError


def check_settings(num_images: int, num_clusters: int, config: FitConfig, seed: int) -> None:
    """Refuse what `primaps.prototypes.loop.fit.fit_prototypes` cannot work with.

    Raises:
        DatasetError: If there is no image.
        ConfigError: If a setting is out of range.
    """
    if num_images < 1:
        raise DatasetError("Expected at least one image to fit prototypes to, but got none.")
    if num_clusters > MAX_CLASSES:
        raise ConfigError(
            f"Expected num_clusters to be at most {MAX_CLASSES}, but got {num_clusters}: 255 means"
            " ignored."
        )
    minima = {
        "num_clusters": (num_clusters, 1),
        "seed": (seed, 0),
        "batch_size": (config.batch_size, 1),
        "teacher_every": (config.teacher_every, 1),
        "vote_stride": (config.vote_stride, 1),
        "pixels_per_image": (config.pixels_per_image, 1),
        "pca_images": (config.pca_images, 1),
        "cluster_restarts": (config.cluster_restarts, 1),
        "max_proposals": (config.max_proposals, 1),
        "tokens_per_proposal": (config.tokens_per_proposal, 0),
        "proposal_steps": (config.proposal_steps, 0),
        "checkpoint_every": (config.checkpoint_every, 1),
    }
    for name, (value, minimum) in minima.items():
        if value is not None and value < minimum:
            raise ConfigError(f"Expected {name} to be {minimum} or more, but got {value}.")
    if not 0.0 <= config.proposal_weight <= 1.0:
        raise ConfigError(
            "Expected proposal_weight to be an exponent between 0 and 1, but got"
            f" {config.proposal_weight}."
        )
    if not 0.0 <= config.min_agreement <= 1.0:
        raise ConfigError(
            f"Expected min_agreement to be a share between 0 and 1, but got {config.min_agreement}."
        )
    if config.feature_norm is not None and not 0.0 < config.feature_norm < math.inf:
        raise ConfigError(
            "Expected feature_norm to be positive, or None to keep the features, but got"
            f" {config.feature_norm}."
        )
    for name, chosen, known in (
        ("method", config.method, get_args(Method)),
        ("initialise", config.initialise, get_args(Initialise)),
        ("em_on", config.em_on, get_args(FitOn)),
    ):
        if chosen not in known:
            raise ConfigError(
                f"Expected {name} to be one of {', '.join(known)}, but got {chosen!r}."
            )


def check_processes(processes: int, images: int) -> None:
    """Refuse more processes than there are images in a batch.

    Raises:
        ConfigError: If there are more.
    """
    if processes > images:
        raise ConfigError(
            f"Expected at most {images} processes, one per image of a batch, but got {processes}."
            " Use fewer."
        )


def checked_initial(initial: Tensor, shape: tuple[int, int]) -> Tensor:
    """Initial prototypes as float32.

    Raises:
        ConfigError: If they are not of the (K, C) that is expected, not finite, or one of them is
            zero.
    """
    if (
        tuple(initial.shape) != shape
        or not bool(initial.isfinite().all())
        or not bool(initial.any(1).all())
    ):
        raise ConfigError(
            f"Expected the initial prototypes to be {shape[0]} finite directions of {shape[1]}"
            f" channels, none of them zero, but got {tuple(initial.shape)}. Ask for as many classes"
            " as there are initial prototypes, on the features that they belong to."
        )
    return initial.detach().float()


def finite_loss(loss: float, images: Sequence[int]) -> float:
    """The loss itself.

    Args:
        loss: Of one step.
        images: Those that it was taken of; none = proposals of all of them.

    Raises:
        DatasetError: If it is infinite or no number.
    """
    if not math.isfinite(loss):
        which = f"one of the images {sorted(images)}" if images else "an image"
        raise DatasetError(
            f"Expected the loss to be finite, but got {loss}. The features of {which} hold NaN or"
            " infinity: extract them again."
        )
    return loss
