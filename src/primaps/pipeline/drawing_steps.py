"""Pictures of the iterative extraction for any photographs; nothing is stored besides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from primaps.config import Config
from primaps.data.scanning import scan
from primaps.errors import DatasetError, ImageError
from primaps.heads.extractor import plain_backbone
from primaps.outputs.png import figure_png
from primaps.outputs.step_pictures import MAX_ROUNDS, steps_figure
from primaps.pipeline.failures import all_failed, reported
from primaps.pipeline.features_and_proposals import as_image
from primaps.pipeline.framed import photo_of
from primaps.pipeline.threshold import own_threshold
from primaps.progress import Progress, Silent
from primaps.proposals.decomposition import Round
from primaps.proposals.extract import extract_proposals
from primaps.proposals.principal import MASK_LIMIT, rounds
from primaps.runs.store import atomic_write
from primaps.types import ExtractionStep, Failure, FeatureExtractor, ImageFile


def draw_steps(
    inputs: Sequence[str | Path],
    out: Path,
    backbone: FeatureExtractor,
    config: Config,
    *,
    progress: Progress | None = None,
) -> tuple[list[Path], list[Failure]]:
    """Draw the iterative extraction of every image as ``OUT/<relative path>.steps.png``.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: Where the pictures go.
        backbone: The frozen feature extractor.
        config: Settings of features and proposals; without a threshold, it is the backbone's, or
            calibrated on these images.
        progress: Who is told.

    Returns:
        The pictures, and the inputs that could not be used.

    Raises:
        DatasetError: If there is no image, or none could be used.
        OutputError: If a picture cannot be written.
    """
    progress = progress or Silent()
    found = scan(inputs, exclude=out)
    failures, written = list(found.failures), list[Path]()
    if not found.images:
        raise DatasetError(all_failed(failures))
    threshold = config.proposals.threshold
    if threshold is None:
        threshold = own_threshold(found.images, backbone, config, progress).value
    progress.start("steps", len(found.images))
    for image in found.images:
        with reported(failures, image, "proposals"):
            path = out / f"{image.name}.steps.png"
            atomic_write(path, picture_of_steps(image, backbone, config, threshold))
            written.append(path)
        progress.advance()
    progress.finish()
    if not written:
        raise DatasetError(all_failed(failures))
    return written, failures


def picture_of_steps(
    image: ImageFile,
    backbone: FeatureExtractor,
    config: Config,
    threshold: float,
    max_rounds: int = MAX_ROUNDS,
) -> bytes:
    """PNG of the rounds of one image, of so many at most.

    Raises:
        ImageError: If it cannot be read, or has no feature to decompose.
    """
    photo = photo_of(image, config, config.predict.max_pixels)
    batch = backbone.preprocess(photo.image, config.features.side(photo.image.shape[:2]))
    # a head takes no part in the extraction
    features = plain_backbone(backbone).forward(batch)[0].float()
    done = rounds(
        features[None],
        threshold,
        config.proposals.stop_fraction,
        min(config.proposals.max_masks or MASK_LIMIT, MASK_LIMIT),
        official_anchor=config.proposals.official_order,
        signed=True,
    )
    steps = [_step(features, each) for each in done]
    if not steps:
        raise ImageError(
            f"Expected features that differ from zero, but those of {image.path} do not. Leave it"
            " out."
        )
    seen = as_image(batch, backbone)
    proposals = extract_proposals(
        seen, features, threshold, config.proposals, config.predict.max_pixels
    )
    return figure_png(steps_figure(seen, steps, proposals, max_rounds))


def _step(features: torch.Tensor, each: Round) -> ExtractionStep:
    """One round of one image on the token grid, with the similarity of all tokens to the anchor,
    not only of those that were taken.
    """
    grid = features.shape[1:]
    tokens = F.normalize(features.flatten(1), dim=0)
    anchor = int(each.anchors[0])
    similarity = tokens[:, anchor] @ tokens
    return ExtractionStep(
        available=each.available[0].view(grid).cpu().numpy(),
        alignment=each.alignment[0].view(grid).float().cpu().numpy(),
        anchor=divmod(anchor, grid[1]),
        similarity=similarity.view(grid).cpu().numpy(),
        mask=(each.similarity[0] > 0).view(grid).cpu().numpy(),
    )
