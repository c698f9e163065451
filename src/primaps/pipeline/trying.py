"""One photograph segmented live with the model of a run, as somebody drops it into the studio."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.config import Config
from primaps.data.reading import Photo
from primaps.errors import ConfigError
from primaps.pipeline.features_and_proposals import features_and_proposals
from primaps.pipeline.prediction import image_features, label_map
from primaps.proposals.resampling import enlarge_nearest
from primaps.runs.model import Model
from primaps.types import IGNORE_INDEX, FeatureExtractor, View


@dataclass(frozen=True)
class Tried:
    """What was made of one photograph, at its own size.

    Attributes:
        labels: (H, W) uint8 cluster ids, 255 where unknown; everywhere without a model.
        proposals: (H, W) int32 ids of mask proposals, 0 = unassigned.
        num_proposals: How many there are.
        seconds: That it took.
    """

    labels: NDArray[np.uint8]
    proposals: NDArray[np.int32]
    num_proposals: int
    seconds: float


def try_photo(
    photo: Photo, backbone: FeatureExtractor, model: Model | None, config: Config, threshold: float
) -> Tried:
    """Segment one photograph, with the steps and settings of `primaps proposals` and
    `primaps predict`; nothing is written.

    Args:
        photo: From `primaps.data.reading.read_photo`, at ``config.predict.max_pixels``.
        backbone: The one that the model was fitted to, with its head if it has one.
        model: The prototypes, and how label maps are made with them; None = another backbone is
            tried, to which no prototypes belong.
        config: Of the run: how proposals are made.
        threshold: Cosine similarity to the anchor from which on a token belongs to a proposal, in
            (0, 1].

    Raises:
        ConfigError: If the threshold is out of range.
        CheckpointError: If the backbone is another one than the model's.
        ImageError: If the photograph cannot be used.
    """
    if not 0.0 < threshold <= 1.0:
        raise ConfigError(
            f"Expected threshold to be a cosine similarity in (0, 1], but got {threshold!r}."
        )
    if model is not None:
        model.check_backbone(backbone.describe())
    start = time.perf_counter()
    size = (photo.height, photo.width)
    _, found = features_and_proposals(photo, backbone, config, [View()], threshold)
    ids = torch.from_numpy(found.label_image.astype(np.int32))
    labels = np.full(size, IGNORE_INDEX, dtype=np.uint8)
    if model is not None:
        features = image_features(backbone, photo.image, model.side(photo.image.shape[:2]))
        settings = model.predict or config.predict
        labels = label_map(features, model, size, settings, photo.image)
    proposals = enlarge_nearest(ids, *size).numpy()
    if photo.ignored is not None:
        labels[photo.ignored], proposals[photo.ignored] = IGNORE_INDEX, 0
    return Tried(labels, proposals, found.num_masks, time.perf_counter() - start)
