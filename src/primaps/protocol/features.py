"""Features of the images that are measured: computed once per image, shared by all variants, seeds
and methods.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from primaps.config import comparable
from primaps.data.reading import read_photo
from primaps.errors import DatasetError
from primaps.features.device import compute_device
from primaps.pipeline.failures import all_failed
from primaps.pipeline.features_and_proposals import check_finite
from primaps.pipeline.parallel import for_each_image
from primaps.protocol.images import measured_input
from primaps.runs.run import ALGORITHM, Run
from primaps.runs.store import FeatureStore, ShardInfo, fingerprint
from primaps.types import ImageFile, MaskProposals, View

PLAIN, MIRRORED = View(), View(flip=True)


def measured_store(run: Run, split: str | None) -> FeatureStore:
    """Where the features of the measured images lie: plain ones and those of the mirrored image; no
    proposals.
    """
    identity = {
        "backbone": dict(run.backbone.describe()),
        "size": run.config.features.size,
        "protocol": comparable(run.config.protocol, "protocol"),
    }
    return FeatureStore(_folder(run, split), fingerprint([ALGORITHM, identity]), (PLAIN, MIRRORED))


def _folder(run: Run, split: str | None) -> Path:
    return run.folder.root / "measured" / (split or "all")


def extract_measured(
    run: Run, images: tuple[ImageFile, ...], store: FeatureStore
) -> tuple[ImageFile, ...]:
    """Compute the features that are missing.

    Args:
        run: Whose backbone and settings are used; unreadable images are added to its failures.
        images: The images.
        store: From `measured_store`.

    Returns:
        The images whose features are in the store.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    missing = [image for image in images if not store.is_current(image.name, image.path)]
    with run.stage("measured images", len(missing)):
        for_each_image(run, missing, "features", lambda image: _extract_one(run, store, image))
    failed = {failure.path for failure in run.failures}
    usable = tuple(image for image in images if image.place not in failed)
    if not usable:
        raise DatasetError(all_failed(run.failures))
    return usable


def _extract_one(run: Run, store: FeatureStore, image: ImageFile) -> None:
    status = image.path.stat()
    photo = read_photo(image.path, sys.maxsize)
    values = measured_input(photo.image, run.backbone, run.config)
    plain = run.backbone.forward(values)[0]
    equivariant = getattr(run.backbone, "mirror_equivariant", False)
    mirrored = plain.flip(-1) if equivariant else run.backbone.forward(values.flip(-1))[0]
    features = torch.stack([plain, mirrored])
    check_finite(features, run.backbone)
    side = run.config.features.size
    nothing = MaskProposals(np.zeros((side, side), dtype=np.int32), np.zeros(0, dtype=np.float32))
    info = ShardInfo(
        settings=store.settings,
        sha256=photo.sha256,
        file_size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        height=side,
        width=side,
        num_masks=0,
        coverage=0.0,
        scores=(),
        guards=(),
    )
    store.write(image.name, features, nothing, info)


def averaged(run: Run, store: FeatureStore, name: str) -> torch.Tensor:
    """(C, h, w) float32 mean of the features of an image and of its mirror image, mirrored back."""
    plain, mirrored = (store.features(name, view).float() for view in (PLAIN, MIRRORED))
    return ((plain + mirrored.flip(-1)) / 2).to(compute_device(run.backbone.device))
