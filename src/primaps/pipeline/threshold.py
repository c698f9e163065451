"""Which similarity threshold a run works with: the user's, the one its folder has, the backbone's,
or a calibrated one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import torch

from primaps.config import Config
from primaps.errors import DatasetError
from primaps.heads.extractor import plain_backbone
from primaps.pipeline.failures import all_failed, reported
from primaps.pipeline.features_and_proposals import check_finite
from primaps.pipeline.framed import framed_photo
from primaps.progress import Progress
from primaps.proposals.calibration import calibrate_threshold
from primaps.runs.run import Run
from primaps.types import Failure, FeatureExtractor, ImageFile, ThresholdChoice

SAMPLE: Final = 16
"""Images at most that a threshold is calibrated on."""


def settle_threshold(run: Run, *, anew: bool = False) -> None:
    """Settle the threshold of a run before its proposals, and put on record how it came about.

    Unless the user gave one, a folder keeps the threshold it was begun with, also when images are
    added.

    Args:
        run: Its folder is not claimed yet.
        anew: Leave aside what the folder has.

    Raises:
        DatasetError: If it has to be calibrated, and no image could be used.
    """
    given, known = run.config.proposals.threshold, None if anew else run.folder.threshold
    if given is not None:
        choice = ThresholdChoice(given, "given")
    elif known is not None and known.source != "given":
        choice = known
    else:
        choice = own_threshold(run.images, run.backbone, run.config, run.progress)
    run.chosen_threshold = choice
    run.folder.record["threshold"] = as_record(choice)


def own_threshold(
    images: Sequence[ImageFile], backbone: FeatureExtractor, config: Config, progress: Progress
) -> ThresholdChoice:
    """The threshold of a backbone, or, where none is published, one that is calibrated on a sample
    of the images.

    Args:
        images: From which the sample is taken. Which ones depends on their names alone, not on
            their order.
        backbone: The frozen feature extractor; a head takes no part.
        config: Settings of features and proposals.
        progress: Who is told.

    Raises:
        DatasetError: If it has to be calibrated, and no image could be used.
    """
    if backbone.threshold is not None:
        return ThresholdChoice(backbone.threshold, "backbone")
    progress.start("threshold", min(SAMPLE, len(images)))
    try:
        sample, features = _sample(images, backbone, config, progress)
        settings = config.proposals
        choice = calibrate_threshold(
            features, stop_fraction=settings.stop_fraction, official_anchor=settings.official_order
        )
    finally:
        progress.finish()
    progress.note(
        f"No threshold is published for {backbone.name}. {choice.value:g} was calibrated on"
        f" {len(sample)} of the images; --threshold T of `primaps segment` sets another."
    )
    return dataclasses.replace(choice, sample=tuple(sample))


def as_record(choice: ThresholdChoice) -> dict[str, Any]:
    """JSON values for ``run.json``; `primaps.runs.run.RunFolder.threshold` reads them back."""
    record: dict[str, Any] = {"value": choice.value, "source": choice.source}
    if choice.source == "calibrated":
        record |= {
            "candidates": [dataclasses.asdict(each) for each in choice.candidates],
            "sample": list(choice.sample),
        }
    return record


def _sample(
    images: Sequence[ImageFile], backbone: FeatureExtractor, config: Config, progress: Progress
) -> tuple[list[str], list[torch.Tensor]]:
    """Names and (C, h, w) features of up to `SAMPLE` images; those that cannot be used are reported
    by the proposals stage.
    """
    names, features, failures = list[str](), list[torch.Tensor](), list[Failure]()
    plain = plain_backbone(backbone)
    for image in sorted(images, key=_draw):
        with reported(failures, image, "threshold"):
            picture = framed_photo(image, config).image
            side = config.features.side(picture.shape[:2])
            grid = plain.forward(plain.preprocess(picture, side))[0]
            check_finite(grid)
            names.append(image.name)
            features.append(grid)
            progress.advance()
        if len(names) == SAMPLE:
            break
    if not names:
        raise DatasetError(all_failed(failures))
    return names, features


def _draw(image: ImageFile) -> bytes:
    """A sort key as good as random, and the same in every run."""
    return hashlib.sha256(image.name.encode("utf-8", "surrogatepass")).digest()
