"""How well classes can be told apart by features: k-means without labels, linear probe with labels,
on CamVid.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from backbone_measures.crops import Crop, crops, fold, tokens_and_labels
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.evaluation.metrics import accuracy, class_table, confusion, mean_iou, per_class_iou
from primaps.evaluation.probe import fit_linear_probe
from primaps.heads.kmeans import spherical_kmeans
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.types import FeatureExtractor

SAMPLE: Final = 40_000
"""Tokens that k-means sees."""

Classifier = Callable[[torch.Tensor], torch.Tensor]
"""(C, h, w) float32 features to (K, h, w) logits."""


@dataclass(frozen=True)
class Scores:
    """Scores of one seed, fractions in [0, 1]."""

    accuracy: float
    miou: float
    per_class: dict[str, float]


def measure_kmeans(
    backbone: FeatureExtractor, data: Path, fold_name: str, seeds: int
) -> dict[str, Any]:
    """Scores of spherical k-means with as many clusters as classes, after Hungarian matching."""
    fitted, measured = fold(data / "camvid", fold_name)
    names = fitted.dataset.class_names
    tokens, _ = tokens_and_labels(fitted, backbone)
    images = list(crops(measured, backbone))
    found = []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        sample = tokens[torch.randperm(len(tokens), generator=generator)[:SAMPLE]]
        centres, _ = spherical_kmeans(F.normalize(sample.float(), dim=1), len(names), generator)
        result = evaluate_label_maps(
            _label_maps(images, partial(logits, prototypes=centres, cosine=True)), len(names), names
        )
        found.append(Scores(result.accuracy, result.miou, dict(result.per_class_iou)))
    return {"fitted_images": len(fitted.indices), "measured_images": len(images)} | summary(found)


def measure_probe(
    backbone: FeatureExtractor, data: Path, fold_name: str, seeds: int
) -> dict[str, Any]:
    """Scores of the linear probe."""
    fitted, measured = fold(data / "camvid", fold_name)
    names = fitted.dataset.class_names
    tokens, labels = tokens_and_labels(fitted, backbone)
    images = list(crops(measured, backbone))
    found = []
    for seed in range(seeds):
        probe = fit_linear_probe(tokens, labels, len(names), seed=seed)
        found.append(_supervised(_label_maps(images, probe.logits), names))
    return {"fitted_images": len(fitted.indices), "measured_images": len(images)} | summary(found)


def summary(scores: Sequence[Scores]) -> dict[str, Any]:
    """Mean, sample standard deviation (None for one seed) and the value of every seed, of every
    score.
    """
    return {
        "accuracy": _moments([score.accuracy for score in scores]),
        "miou": _moments([score.miou for score in scores]),
        "per_class_iou": {
            name: _moments([score.per_class[name] for score in scores])
            for name in scores[0].per_class
        },
    }


def _label_maps(
    images: Sequence[Crop], classify: Classifier
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Label map and truth of every crop; logits at token resolution, upsampled bilinearly."""
    for features, truth in images:
        label_map = label_map_from_logits(
            classify(features.float()), (truth.shape[0], truth.shape[1])
        )
        yield label_map.numpy(), truth


def _supervised(
    pairs: Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]], names: tuple[str, ...]
) -> Scores:
    """Scores of label maps whose ids are class ids already: nothing is matched."""
    count = len(names)
    table = sum(
        (confusion(truth, label_map, count, count) for label_map, truth in pairs),
        np.zeros((count, count), np.int64),
    )
    classes = class_table(table, np.arange(count))
    iou = per_class_iou(classes)
    return Scores(accuracy(classes), mean_iou(iou), dict(zip(names, iou.tolist(), strict=True)))


def _moments(values: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.fmean(values), "std": deviation, "seeds": values}
