"""Photographs to training crops of a head: cut, through the frozen backbone, and kept on disk, one
shard per photograph.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from primaps.errors import CheckpointError, DatasetError, ImageError
from primaps.features.device import compute_device
from primaps.heads.attention import features_and_attention
from primaps.heads.augmentation import augment
from primaps.heads.crops import CropConfig, crop_boxes, cut
from primaps.heads.local_positives import NEIGHBOURHOOD, local_weights
from primaps.heads.neighbours import pooled
from primaps.pipeline.failures import all_failed
from primaps.pipeline.framed import photo_of
from primaps.pipeline.parallel import for_each_image
from primaps.runs.run import ALGORITHM, Run
from primaps.runs.store import fingerprint, write_tensors
from primaps.types import FeatureExtractor, Image, ImageFile

MAX_PIXELS: Final = 4_000_000
"""Photographs are reduced to so many pixels before they are cut: above what the data sets have."""


@dataclass(frozen=True)
class CropNeeds:
    """What a training asks of every crop.

    Attributes:
        crops: Which crops.
        local: Weights of local hidden positives too.
        views: Augmented versions that are drawn once, from the photograph's content; None = new
            ones whenever asked for.
        clamp_jitter: See `primaps.heads.augmentation.augment`.
        cache: Features are kept on disk; otherwise they are computed whenever asked for.
    """

    crops: CropConfig
    local: bool = False
    views: int | None = 0
    clamp_jitter: bool = False
    cache: bool = True


class PreparedCrops:
    """Crops of photographs, the `primaps.heads.crops.TrainingCrops` of a run."""

    def __init__(self, run: Run, needs: CropNeeds) -> None:
        """Take the photographs of a run.

        Args:
            run: Its backbone makes the features, its folder keeps them.
            needs: What is kept of every crop.
        """
        self.run, self.needs = run, needs
        self.dim = run.backbone.dim
        self.device = compute_device(run.backbone.device)
        self.settings = fingerprint([ALGORITHM, dict(run.backbone.describe()), asdict(needs)])
        self.images: tuple[ImageFile, ...] = ()
        self._recent: tuple[tuple[int, ...], list[dict[str, Tensor]]] = ((), [])

    def prepare(self) -> dict[str, str]:
        """Make the shards that are missing.

        Returns:
            SHA-256 of every usable photograph by its name, in order.

        Raises:
            DatasetError: If no photograph could be used.
            OutputError: If a shard cannot be written.
        """
        missing = [image for image in self.run.images if self._stored(image) is None]
        self._announce(len(missing))
        with self.run.stage("crops", len(missing)):
            for_each_image(self.run, missing, "crops", self._write)
        stored = {image: self._stored(image) for image in self.run.images}
        self.images = tuple(image for image, sha256 in stored.items() if sha256 is not None)
        if not self.images:
            self.run.folder.write_failures(self.run.failures)
            raise DatasetError(all_failed(self.run.failures))
        return {image.name: sha256 for image, sha256 in stored.items() if sha256 is not None}

    def __len__(self) -> int:
        """Number of crops."""
        return len(self.images) * self.needs.crops.per_image

    def features(self, indices: Sequence[int]) -> Tensor:
        """(n, C, h, w) float32 features of some crops, rounded to float16, on the training
        device.
        """
        return (
            torch.stack([tensors["features"][0] for tensors in self._read(indices, "features")])
            .to(self.device)
            .float()
        )

    def augmented(self, indices: Sequence[int], generator: torch.Generator) -> Tensor:
        """(n, C, h, w) float32 features of augmented versions: one of the stored ones of each, or
        new ones.
        """
        needs, backbone = self.needs, self.run.backbone
        if needs.views is None:
            crops = torch.cat(
                [
                    backbone.preprocess(one["pixels"].numpy(), self._side)
                    for one in self._read(indices, "pixels")
                ]
            )
            changed = augment(
                crops,
                generator,
                clamp_jitter=needs.clamp_jitter,
                mean=backbone.mean,
                std=backbone.std,
            )
            return backbone.forward(changed)
        views = (1 + torch.randint(needs.views, (len(indices),), generator=generator)).tolist()
        read = self._read(indices, "features")
        made = [tensors["features"][view] for tensors, view in zip(read, views, strict=True)]
        return torch.stack(made).to(self.device).float()

    def local_weights(self, indices: Sequence[int]) -> Tensor:
        """(n, 9, h, w) float32 weights of local hidden positives."""
        return torch.stack([tensors["local"] for tensors in self._read(indices, "local")]).to(
            self.device
        )

    def descriptors(self) -> Tensor:
        """(N, C) float32 pooled features of all crops, on the CPU."""
        return torch.cat([self._tensors(image, "pooled") for image in self.images])

    @property
    def _side(self) -> int:
        return self.needs.crops.side(self.run.backbone.input_multiple)

    def _path(self, image: ImageFile) -> Path:
        return self.run.folder.root / "crops" / f"{image.name}.safetensors"

    def _key(self, image: ImageFile) -> str:
        status = image.path.stat()
        return fingerprint([self.settings, status.st_size, status.st_mtime_ns])

    def _stored(self, image: ImageFile) -> str | None:
        """SHA-256 of the photograph that a shard was made from; None if there is no shard of its
        present content.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(image), framework="pt") as shard:
                metadata = shard.metadata() or {}
            return metadata.get("sha256") if metadata.get("key") == self._key(image) else None
        except (OSError, SafetensorError):
            return None  # absent, or left by a foreign program: it is made again

    def _write(self, image: ImageFile) -> None:
        key = self._key(image)
        photo = photo_of(image, self.run.config, MAX_PIXELS)
        tensors = crop_tensors(
            photo.image, self.run.backbone, self.needs, seed=int(photo.sha256[:12], 16)
        )
        if not self.needs.cache:
            tensors = {"pooled": tensors["pooled"]}
        write_tensors(self._path(image), tensors, {"key": key, "sha256": photo.sha256})

    def _read(self, indices: Sequence[int], name: str) -> list[dict[str, Tensor]]:
        """One tensor of every crop, from disk, or computed and kept until other crops are asked
        for.
        """
        per_image = self.needs.crops.per_image
        places = [(self.images[index // per_image], index % per_image) for index in indices]
        if self.needs.cache:
            return [{name: self._tensors(image, name, number)} for image, number in places]
        if self._recent[0] != tuple(indices):
            self._recent = (
                tuple(indices),
                [self._compute(image, number) for image, number in places],
            )
        return self._recent[1]

    def _tensors(self, image: ImageFile, name: str, number: int | None = None) -> Tensor:
        """A tensor of a shard; of one crop if its number is given."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(image), framework="pt") as shard:
                tensor: Tensor = (
                    shard.get_tensor(name) if number is None else shard.get_slice(name)[number]
                )
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"Expected stored crops of {image.name} in {self._path(image)}, but got: {error}."
                " Run the same command again."
            ) from error
        return tensor

    def _compute(self, image: ImageFile, number: int) -> dict[str, Tensor]:
        photo = photo_of(image, self.run.config, MAX_PIXELS)
        made = crop_tensors(
            photo.image, self.run.backbone, self.needs, seed=int(photo.sha256[:12], 16), only=number
        )
        return {name: tensor[0] for name, tensor in made.items()}

    def _announce(self, missing: int) -> None:
        """Say before the long part starts how much disk it takes, or what it costs not to take
        it.
        """
        if not missing:
            return
        needs, side = self.needs, self._side
        tokens = (side // self.run.backbone.patch_size) ** 2
        per_crop = 4 * self.dim
        if needs.cache:
            per_crop += (
                2 * self.dim * tokens * (1 + (needs.views or 0))
                + 4 * len(NEIGHBOURHOOD) * tokens * needs.local
            )
            per_crop += 3 * side * side * (needs.views is None)
        needed = missing * needs.crops.per_image * per_crop
        free = shutil.disk_usage(self.run.folder.root).free
        self.run.progress.note(
            f"{missing} photographs to cut; about {needed / 1e9:.2g} GB in {self.run.folder.root} "
            f"({free / 1e9:.3g} GB free there)."
            + (" That may not be enough; --no-cache needs almost none." if needed > free else "")
            + (
                ""
                if needs.cache
                else (
                    " Without a cache every step reads its photographs and runs the backbone again."
                )
            )
        )


def crop_tensors(
    image: Image,
    backbone: FeatureExtractor,
    needs: CropNeeds,
    *,
    seed: int,
    only: int | None = None,
) -> dict[str, Tensor]:
    """What is kept of the crops of one photograph.

    Args:
        image: (H, W, 3) uint8 RGB.
        backbone: Frozen.
        needs: What is wanted.
        seed: Of the augmented versions that are drawn once.
        only: Number of the one crop that is wanted; None = all.

    Returns:
        On the CPU, for n crops: ``pooled`` (n, C) float32; ``features`` (n, 1 + V, C, h, w)
        float16, the plain ones and those of the augmented versions; if wanted ``local`` (n, 9, h,
        w) float32; with new augmentations in every step ``pixels`` (n, side, side, 3) uint8.

    Raises:
        ImageError: If the features do not fit float16.
    """
    side = needs.crops.side(backbone.input_multiple)
    boxes = crop_boxes(image.shape[0], image.shape[1], needs.crops)
    numbers = range(len(boxes)) if only is None else [only]
    pixels = [cut(image, boxes[number], side, needs.crops.resample) for number in numbers]
    batch = torch.cat([backbone.preprocess(crop, side) for crop in pixels])
    made: dict[str, Tensor] = {}
    if needs.local:
        plain, attention = features_and_attention(backbone, batch)
        grid = (plain.shape[2], plain.shape[3])
        made["local"] = torch.stack([local_weights(rows, grid) for rows in attention])
    else:
        plain = backbone.forward(batch)
    views = [plain]
    for view in range(needs.views or 0):
        changed = [
            _augmented(one, backbone, needs, seed, number, view)
            for one, number in zip(batch, numbers, strict=True)
        ]
        views.append(backbone.forward(torch.stack(changed)))
    made["features"] = torch.stack(views, dim=1).half()
    made["pooled"] = pooled(plain)
    if needs.views is None:
        made["pixels"] = torch.from_numpy(np.stack(pixels))
    if not bool(torch.isfinite(made["features"]).all()):
        raise ImageError(
            "Expected finite features below 65504, but this image gives others. Leave it out, or"
            " take another backbone."
        )
    return {name: tensor.cpu() for name, tensor in made.items()}


def _augmented(
    crop: Tensor, backbone: FeatureExtractor, needs: CropNeeds, seed: int, number: int, view: int
) -> Tensor:
    """One augmented version of a crop: the same whichever other crops and versions are made."""
    entropy = np.random.SeedSequence([seed, number, view]).generate_state(1, np.uint64)[
        0
    ] >> np.uint64(1)
    generator = torch.Generator().manual_seed(int(entropy))
    return augment(
        crop[None], generator, clamp_jitter=needs.clamp_jitter, mean=backbone.mean, std=backbone.std
    )[0]
