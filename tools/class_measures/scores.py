"""Scores of the classes that a row finds, and their mean and deviation over seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from class_measures.photographs import Photographs
from class_measures.rows import Classes, Way
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.pipeline.fitting import FIT_ALGORITHM
from primaps.prototypes.classifier import label_map_from_logits, logits
from primaps.runs.store import fingerprint, read_json, write_json
from primaps.types import View

FORMAT: Final = 1
"""Raised when scores are computed in another way, so that stored ones are made anew."""


@dataclass(frozen=True)
class Scores:
    """Of one fit.

    Attributes:
        accuracy: Fraction of labelled pixels with the right class after Hungarian matching over all
            photographs.
        miou: Mean over classes of intersection over union.
        seconds: CPU seconds of the fit, of all threads.
    """

    accuracy: float
    miou: float
    seconds: float


def measured(images: Photographs, way: Way, num_clusters: int, seed: int) -> Scores:
    """Fit classes to photographs and score them on the same ones; read if that was done before.

    Raises:
        DatasetError: If the photographs have no proposal or no labelled pixel.
        OutputError: If the scores cannot be written.
    """
    identity = fingerprint(
        [FORMAT, FIT_ALGORITHM, images.fingerprint(), way.settings(), num_clusters, seed]
    )
    path = images.folder / "scores" / f"{identity}.json"
    if path.exists():
        return Scores(**read_json(path))
    started = time.process_time()
    classes = way.find(images.store.source(images.names), num_clusters, seed)
    seconds = time.process_time() - started
    result = evaluate_label_maps(_label_maps(images, classes), num_clusters, images.class_names)
    scores = Scores(result.accuracy, result.miou, round(seconds, 2))
    write_json(path, asdict(scores))
    return scores


def _label_maps(
    images: Photographs, classes: Classes
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Label map and truth of every photograph; logits at token resolution, upsampled bilinearly to
    the size of the truth.
    """
    for name, truth in zip(images.names, images.truths, strict=True):
        values = logits(
            images.store.features(name, View()), classes.prototypes, cosine=classes.cosine
        )
        yield label_map_from_logits(values, (truth.shape[0], truth.shape[1])).numpy(), truth


def summary(scores: Sequence[Scores]) -> dict[str, Any]:
    """Mean, sample standard deviation (None for one seed) and all values of every score."""
    found = {}
    for kind in ("accuracy", "miou", "seconds"):
        values = [float(getattr(score, kind)) for score in scores]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        found[kind] = {"mean": statistics.fmean(values), "std": deviation, "values": values}
    return found
