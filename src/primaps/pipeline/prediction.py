"""From one image, features and prototypes to a label map."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.config import CRFConfig, PredictConfig
from primaps.errors import ConfigError
from primaps.proposals.crf.dense_crf import refine
from primaps.proposals.refining import POSTERIOR_LIMIT, scaled_constants
from primaps.proposals.resampling import enlarge_nearest, fraction, limited_size, reduced, shrink
from primaps.prototypes.certainty import certainty_map
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.runs.model import Model
from primaps.types import IGNORE_INDEX, FeatureExtractor, Image


def image_features(
    backbone: FeatureExtractor, image: Image, size: int, *, flip: bool = False
) -> torch.Tensor:
    """(C, h, w) float32 features of one image, rounded to float16 as the store keeps them.

    Args:
        backbone: The frozen feature extractor.
        image: (H, W, 3) uint8 RGB.
        size: Short side of the backbone's input.
        flip: Average with the features of the mirrored image.
    """
    batch = backbone.preprocess(image, size)
    features = backbone.forward(batch)[0]
    if flip:
        features = (features + backbone.forward(batch.flip(-1))[0].flip(-1)) / 2
    return features.half().float()


def label_map(
    features: torch.Tensor,
    model: Model,
    size: tuple[int, int],
    config: PredictConfig,
    image: Image | None = None,
) -> NDArray[np.uint8]:
    """Cluster id of every pixel.

    Args:
        features: (C, h, w) features of the image.
        model: The fitted prototypes.
        size: (H, W) of the label map, the image's own size.
        config: Limits, and whether the CRF refines the map.
        image: (H', W', 3) uint8 RGB, shrunk to ``config.max_pixels`` pixels if it has more; needed
            by the CRF only.

    Returns:
        (H, W) uint8. Computed at up to ``config.max_pixels`` pixels and enlarged by nearest
        neighbour beyond.

    Raises:
        ConfigError: If the CRF is asked for without an image.
    """
    prototypes = model.prototypes.to(features.device)
    return labels_from_scores(
        logits(features, prototypes, cosine=model.fit.cosine), size, config, image
    )


def labels_from_scores(
    scores: torch.Tensor, size: tuple[int, int], config: PredictConfig, image: Image | None = None
) -> NDArray[np.uint8]:
    """Best class of every pixel.

    Args:
        scores: (K, h, w) float32 logits, upsampled bilinearly.
        size: (H, W) of the label map.
        config: Limits, and whether the CRF refines the map.
        image: (H', W', 3) uint8 RGB, needed by the CRF only.

    Returns:
        (H, W) uint8; 255 where the certainty is below ``config.unknown_below``.

    Raises:
        ConfigError: If the CRF is asked for without an image.
    """
    if config.crf:
        if image is None:
            raise ConfigError(
                "Expected the image, which the CRF needs, but got none. Give it, or set crf=False."
            )
        limit = min(config.max_pixels, POSTERIOR_LIMIT // len(scores))
        pixels = shrink(torch.tensor(image, device=scores.device), limit)
        working = fraction((pixels.shape[0], pixels.shape[1]), config.crf_scale)
        constants = scaled_constants(CRFConfig(), config.crf_scale)
        posterior = refine(
            reduced(pixels[None], working)[0], torch.log_softmax(scores, dim=0), config=constants
        )
        # Of equal size the first one on ties, as argmax, and ten times as fast.
        same = working == pixels.shape[:2]
        labels = (
            posterior.max(dim=0).indices
            if same
            else label_map_from_logits(posterior, (pixels.shape[0], pixels.shape[1]))
        )
    else:
        labels = label_map_from_logits(scores, limited_size(size, config.max_pixels))
    result: NDArray[np.uint8] = enlarge_nearest(labels.to(torch.uint8), *size).cpu().numpy()
    if config.unknown_below > 0:
        certain = certainty_map(scores, limited_size(size, config.max_pixels))
        unknown = enlarge_nearest(certain < config.unknown_below, *size).cpu().numpy()
        result[unknown] = IGNORE_INDEX
    return result


def certainty_image(
    scores: torch.Tensor, size: tuple[int, int], max_pixels: int
) -> NDArray[np.uint8]:
    """Certainty of every pixel times 255.

    Args:
        scores: (K, h, w) float32 logits.
        size: (H, W) of the image, its own size.
        max_pixels: Computed at no more pixels, and enlarged by nearest neighbour beyond.

    Returns:
        (H, W) uint8.
    """
    certain = certainty_map(scores, limited_size(size, max_pixels))
    levels = (certain * 255).round().to(torch.uint8)
    result: NDArray[np.uint8] = enlarge_nearest(levels, *size).cpu().numpy()
    return result
