"""What all frozen backbones have in common: preprocessing, checks, and staying frozen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Self

import torch
from torch import nn

from primaps.compute.forked import check_fork
from primaps.errors import BackboneError
from primaps.features.device import compute_device
from primaps.features.preprocess import image_to_input, input_size
from primaps.features.registry import BackboneSpec
from primaps.pictures import as_image
from primaps.types import ImageLike, remember_threshold

PUBLIC: Final = (
    *("name", "dim", "patch_size", "input_multiple", "threshold", "mean", "std"),
    *("weights_path", "device", "extract", "preprocess", "forward", "describe"),
)
"""What every `primaps.types.FeatureExtractor` shows."""


class FrozenBackbone(nn.Module, ABC):
    """A backbone that never trains. Implements `primaps.types.FeatureExtractor`.

    Attributes:
        name: Name it was loaded under.
        dim: Number of feature channels C.
        patch_size: Stride of the feature grid in pixels.
        input_multiple: What the sides of an input are multiples of, in pixels: the patch size, or
            where levels are joined their largest stride.
        threshold: Calibrated cosine similarity from which a token belongs to a proposal; None =
            none is published.
        licence: Licence of the weights.
        mean: Per-channel mean of the input normalisation, RGB in [0, 1].
        std: Per-channel standard deviation of the input normalisation.
        weights_path: File that the weights were read from, absolute; None = bundled or from the
            hub.
    """

    mirror_equivariant = False
    """Mirroring an image only mirrors its features, so that they need not be computed twice."""

    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, spec: BackboneSpec) -> None:
        """Take the attributes from the registry entry.

        Args:
            spec: Registry entry with known ``dim`` and ``patch_size``.
        """
        super().__init__()
        self.spec = spec
        self.name = spec.name
        self.dim = spec.dim
        self.patch_size = spec.patch_size
        self.input_multiple = spec.patch_size
        self.threshold = spec.threshold
        self.licence = spec.licence
        self.mean = spec.mean
        self.std = spec.std
        self.weights_path: str | None = None
        self.register_buffer("_mean", torch.tensor(spec.mean), persistent=False)
        self.register_buffer("_std", torch.tensor(spec.std), persistent=False)

    def __repr__(self) -> str:
        levels = self.describe().get("levels")
        joined = "" if levels is None else f", levels {levels}"
        return (
            f"{type(self).__name__}({self.name!r}, {self.dim} channels at stride"
            f" {self.patch_size}{joined}, on {self.device})"
        )

    def __dir__(self) -> list[str]:
        """What users call and read; the inside of the network is left out."""
        return [name for name in (*PUBLIC, "licence", "freeze", "to") if hasattr(self, name)]

    @abstractmethod
    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) features of a checked (N, 3, H', W') float32 batch on the device."""

    @property
    def device(self) -> torch.device:
        """Where the weights live."""
        return self._mean.device

    def freeze(self) -> Self:
        """Evaluation mode, no parameter requires a gradient."""
        self.requires_grad_(requires_grad=False)
        return self.train(mode=False)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002 - the signature of nn.Module
        """Stay in evaluation mode: a frozen backbone inside a larger model ignores ``train()``."""
        return super().train(mode=False)

    def describe(self) -> Mapping[str, Any]:
        """What identifies the features, as JSON values; two backbones with equal descriptions give
        equal features.
        """
        return {
            "name": self.name,
            "implementation": self.spec.implementation,
            "dim": self.dim,
            "patch_size": self.patch_size,
            "mean": list(self.mean),
            "std": list(self.std),
            "licence": self.licence,
            "source": self.spec.source,
        }

    def preprocess(
        self, image: ImageLike, size: int = 320, *, device: torch.device | None = None
    ) -> torch.Tensor:
        """Resize and normalise one image; see `primaps.features.preprocess.input_size` for the
        size.

        Args:
            image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W);
                the rules stand in `primaps.pictures`.
            size: Short side of the result in pixels, before rounding to multiples of
                ``input_multiple``.
            device: Where the input is made; the backbone's own device is not touched then. None =
                there.

        Returns:
            (1, 3, H', W') float32 on that device.

        Raises:
            ImageError: If it is no image.
            ConfigError: If ``size`` is smaller than 1.
            ProcessError: If this process was forked from one that had computed.
        """
        check_fork()
        picture = as_image(image)
        height, width = picture.shape[:2]
        mean, std = torch.tensor(self.mean), torch.tensor(self.std)
        return image_to_input(
            picture,
            input_size(height, width, size, self.input_multiple),
            mean,
            std,
            device or self.device,
        )

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Features of a preprocessed batch, without gradient.

        Args:
            batch: (N, 3, H', W') floating point, normalised, sides multiples of ``input_multiple``;
                moved to the device.

        Returns:
            (N, C, h, w) float32, contiguous, h = H' / patch_size, w = W' / patch_size.

        Raises:
            BackboneError: If the batch has another shape or dtype.
            ProcessError: If this process was forked from one that had computed.
        """
        check_fork()
        if (
            batch.ndim != 4
            or batch.shape[1] != 3
            or not batch.is_floating_point()
            or 0 in batch.shape
        ):
            raise BackboneError(
                "Expected the batch to be floating point of shape (N, 3, H, W), but got"
                f" {batch.dtype} {tuple(batch.shape)}. Make it with preprocess(image)."
            )
        height, width = batch.shape[2:]
        if height % self.input_multiple or width % self.input_multiple:
            raise BackboneError(
                f"Expected both sides of the batch to be multiples of {self.input_multiple} for"
                f" {self.name!r}, but got {height} x {width}. Make it with preprocess(image)."
            )
        with torch.no_grad():
            features = (
                self._features(batch.to(self.device, torch.float32))
                .float()
                .contiguous()
                .to(compute_device(self.device))
            )
        expected = (batch.shape[0], self.dim, height // self.patch_size, width // self.patch_size)
        if tuple(features.shape) != expected:
            raise BackboneError(
                f"Expected features of {self.name!r} to have shape {expected}, but got"
                f" {tuple(features.shape)}."
            )
        return features

    def extract(self, image: ImageLike, size: int = 320) -> torch.Tensor:
        """Features of one image.

        Args:
            image: A path, a PIL image, an array (H, W, 3) or (H, W), or a torch tensor (3, H, W);
                the rules stand in `primaps.pictures`.
            size: Short side of the backbone's input in pixels.

        Returns:
            (C, h, w) float32; `primaps.mask_proposals` finds the backbone's threshold on it.

        Raises:
            ImageError: If it is no image.
            ConfigError: If ``size`` is smaller than 1.
        """
        features: torch.Tensor = self.forward(self.preprocess(image, size))
        return remember_threshold(features[0], self.threshold)
