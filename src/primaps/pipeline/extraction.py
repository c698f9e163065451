"""The first stage: photographs to features and mask proposals."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from primaps.config import Config
from primaps.data.framing import crop_image
from primaps.data.reading import Photo, read_photo
from primaps.errors import DatasetError, ImageError
from primaps.features.heads.extractor import encode, plain_backbone
from primaps.features.views import make_views
from primaps.outputs.label_files import read_png_info, write_proposals
from primaps.pipeline.failures import all_failed
from primaps.pipeline.parallel import for_each_image
from primaps.proposals.extract import enlarge_nearest, extract_proposals
from primaps.run import Run, cached_views
from primaps.store import FeatureStore, ShardInfo, write_json
from primaps.types import FeatureExtractor, Image, ImageFile, MaskProposals, View


def extract(run: Run) -> None:
    """Features and mask proposals of every image, into the store and as 16-bit PNG.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    store = run.store
    missing = [image for image in run.images if not _extracted(run, store, image)]
    _announce_disk_use(run, len(missing))
    with run.stage("proposals", len(missing)):
        for_each_image(run, missing, "proposals", lambda image: _extract_one(run, store, image))
    usable = run.usable_images()
    if not usable:
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))
    infos = [store.info(image.name) for image in usable]
    run.counts |= _proposal_statistics([info for info in infos if info is not None])
    run.counts |= {"images": len(usable), "proposals_made": len(missing), "proposals_reused": len(run.images) - len(missing)}
    _write_manifest(run, usable, store)


def _extracted(run: Run, store: FeatureStore, image: ImageFile) -> bool:
    info = store.info(image.name)
    if info is None or read_png_info(run.folder.proposals(image.name)) != _stamp(store, info.sha256):
        return False
    return store.is_current(image.name, image.path)


def _stamp(store: FeatureStore, sha256: str) -> dict[str, str]:
    """What the header of a proposals file says it was made from."""
    return {"image": sha256, "settings": store.settings}


def _extract_one(run: Run, store: FeatureStore, image: ImageFile) -> None:
    status = image.path.stat()
    photo = _framed_photo(image, run.config)
    features, proposals = features_and_proposals(photo, run.backbone, run.config, store.views, run.threshold)
    info = ShardInfo(
        settings=store.settings,
        sha256=photo.sha256,
        file_size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        height=photo.height,
        width=photo.width,
        num_masks=proposals.num_masks,
        coverage=proposals.coverage,
        scores=tuple(float(score) for score in proposals.scores),
        guards=proposals.guards,
    )
    smallest = np.uint8 if proposals.num_masks < 256 else np.int32  # four times less memory for a large photograph
    at_own_size = enlarge_nearest(torch.from_numpy(proposals.label_image.astype(smallest)), photo.height, photo.width).numpy()
    write_proposals(run.folder.proposals(image.name), at_own_size, _stamp(store, photo.sha256))
    store.write(image.name, features, proposals, info)  # last: its presence says that the image is done


def _framed_photo(image: ImageFile, config: Config) -> Photo:
    """The part of a photograph that is worked on."""
    if config.features.framing == "whole":
        return read_photo(image.path, config.predict.max_pixels)
    side = config.features.size
    photo = read_photo(image.path, sys.maxsize)
    return dataclasses.replace(photo, image=crop_image(photo.image, side), height=side, width=side)


def features_and_proposals(
    photo: Photo, backbone: FeatureExtractor, config: Config, views: Sequence[View], threshold: float
) -> tuple[torch.Tensor, MaskProposals]:
    """Features of all views, (V, C, h, w), and the proposals of the plain one at the backbone's input size.

    With a head, features are its codes, while proposals come from the backbone's own features (Hahn et al. 2024). The
    photometric draws depend on the photograph alone, not on its neighbours, the seed of the fit, or the order.
    """
    tokens_of = plain_backbone(backbone)
    plain = backbone.preprocess(photo.image, config.features.size)
    seed = int(hashlib.sha256(photo.sha256.encode("ascii")).hexdigest()[:12], 16)
    mirror = getattr(tokens_of, "mirror_equivariant", False)  # other extractors need not have the attribute
    seen = [view for view in views if not (mirror and view.flip)]
    batch = make_views(plain, seen, seed, clamp_jitter=config.features.clamp_jitter, mean=backbone.mean, std=backbone.std)
    made = {view: tokens_of.forward(image[None]) for view, image in zip(seen, batch, strict=True)}
    made |= {View(flip=True, photometric=view.photometric): made[view].flip(-1) for view in seen if mirror}
    features = torch.cat([encode(backbone, made[view]) for view in views])
    check_finite(features)
    resized = as_image(plain, backbone)
    proposals = extract_proposals(resized, made[views[0]][0], threshold, config.proposals, config.predict.max_pixels)
    return features, proposals


def check_finite(features: torch.Tensor) -> None:
    """Check that features can be stored.

    Args:
        features: Any shape, floating point.

    Raises:
        ImageError: If there is NaN, infinity, or what float16 cannot hold.
    """
    if not torch.isfinite(features.half()).all():
        raise ImageError(
            "Expected finite features below 65504, but this image gives others. Leave it out, or take another backbone."
        )


def as_image(batch: torch.Tensor, backbone: FeatureExtractor, *, round_down: bool = False) -> Image:
    """The 8-bit image behind a normalised input.

    Args:
        batch: (1, 3, H', W') float32, normalised.
        backbone: Whose mean and standard deviation it was normalised with.
        round_down: Round grey levels down, as the official code does before a CRF; otherwise to the nearest.

    Returns:
        (H', W', 3) uint8 RGB.
    """
    mean, std = (torch.tensor(numbers, device=batch.device)[:, None, None] for numbers in (backbone.mean, backbone.std))
    levels = (batch[0] * std + mean) * 255
    levels = (levels.floor() if round_down else levels.round()).clamp(0, 255).to(torch.uint8)
    image: Image = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return image


def _announce_disk_use(run: Run, missing: int) -> None:
    """Say before the long part starts how much disk it takes (a 4:3 photograph is assumed)."""
    if not missing:
        return
    side = run.config.features.size / run.backbone.patch_size
    per_image = len(cached_views(run.config)) * run.backbone.dim * side * side * 4 / 3 * 2 + 150_000
    free = shutil.disk_usage(run.folder.root).free
    needed = missing * per_image
    run.progress.note(
        f"{missing} images to do; about {needed / 1e9:.2g} GB in {run.folder.root} ({free / 1e9:.3g} GB free there)."
        + (" That may not be enough." if needed > free else "")
    )


def _proposal_statistics(infos: Sequence[ShardInfo]) -> dict[str, Any]:
    numbers = np.array([info.num_masks for info in infos])
    coverage = np.array([info.coverage for info in infos])
    guards: dict[str, int] = {}
    for info in infos:
        for guard in set(info.guards):
            guards[guard] = guards.get(guard, 0) + 1
    return {
        "proposals_per_image": {
            "min": int(numbers.min()),
            "median": float(np.median(numbers)),
            "mean": round(float(numbers.mean()), 3),
            "max": int(numbers.max()),
        },
        "images_without_proposal": int((numbers == 0).sum()),
        "coverage": {"min": round(float(coverage.min()), 4), "mean": round(float(coverage.mean()), 4)},
        "images_with_guard": guards,
    }


def _write_manifest(run: Run, usable: Sequence[ImageFile], store: FeatureStore) -> None:
    """A readable list of what the store holds."""
    entries = {}
    for image in usable:
        info = store.info(image.name)
        if info is not None:
            entries[image.name] = {
                "path": str(image.path.absolute()),
                "height": info.height,
                "width": info.width,
                "num_masks": info.num_masks,
                "coverage": round(info.coverage, 4),
                "guards": list(info.guards),
            }
    views = [dataclasses.asdict(view) for view in store.views]
    write_json(run.folder.store / "manifest.json", {"settings": store.settings, "views": views, "images": entries})
