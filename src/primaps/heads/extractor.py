"""A frozen backbone with a head: a `FeatureExtractor` like any other, whose features are the head's
codes.

Mask proposals still come from the backbone's own features, as in the paper (Hahn et al. 2024,
section 4.2): `plain_backbone`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from primaps.errors import BackboneError
from primaps.features.device import compute_device
from primaps.heads.files import Head, HeadKind, head_record, load_head
from primaps.types import FeatureExtractor, ImageLike


class BackboneWithHead:
    """Codes of a head as dense features.

    Attributes:
        backbone: The plain backbone.
        head: The head.
        head_path: Folder of the head, absolute.
        inference_dropout: Channels are dropped in inference too.
        name: Of the backbone and the head, in words.
        dim: D, channels of the code.
        patch_size: Stride of the feature grid in pixels.
        input_multiple: What the sides of an input are multiples of, in pixels.
        threshold: The backbone's, for it gives the proposals; codes do not carry it.
        mean: Per-channel mean of the input normalisation, RGB in [0, 1].
        std: Per-channel standard deviation of the input normalisation.
        weights_path: File that the backbone's weights were read from; None = bundled or from the
            hub.
    """

    name: str

    def __init__(
        self, backbone: FeatureExtractor, folder: Path, *, inference_dropout: bool = False
    ) -> None:
        """Read the head and put it on the backbone's device.

        Args:
            backbone: The backbone that the head was trained on.
            folder: Folder of the head.
            inference_dropout: Drop channels in inference too, as the official code of PriMaPs does
                by mistake with STEGO heads (``docs/fidelity.md``). Which ones depends on the
                features alone.

        Raises:
            CheckpointError: If there is no head, it is damaged, or it belongs to another backbone.
            BackboneError: If the backbone has a head already.
        """
        if isinstance(backbone, BackboneWithHead):
            raise BackboneError(
                f"Expected a plain backbone to put a head on, but {backbone.name!r} has one."
            )
        self.head: Head = load_head(folder)
        self.head.check_backbone(backbone.describe())
        self.head.network.to(compute_device(backbone.device))
        self.head_path = str(folder.absolute())
        self.inference_dropout = inference_dropout
        self.backbone = backbone
        self.name = f"{backbone.name} with a head of kind {self.head.kind}"
        self.dim = self.head.network.dim
        self.patch_size = backbone.patch_size
        self.input_multiple = backbone.input_multiple
        self.threshold = backbone.threshold
        self.mean = backbone.mean
        self.std = backbone.std
        self.weights_path = backbone.weights_path
        self._sha256 = str(head_record(folder)["sha256"])

    def __repr__(self) -> str:
        return (
            f"BackboneWithHead({self.head.kind!r} with {self.dim} channels from {self.head_path} on"
            f" {self.backbone!r})"
        )

    @property
    def device(self) -> torch.device:
        """Where the weights of the backbone live."""
        return self.backbone.device

    def describe(self) -> Mapping[str, Any]:
        """The backbone's description with the head's under ``head``: kind, dimension, checksum,
        dropout.
        """
        head = {
            "kind": self.head.kind,
            "dim": self.dim,
            "sha256": self._sha256,
            "inference_dropout": self.inference_dropout,
        }
        return {**self.backbone.describe(), "head": head}

    def preprocess(self, image: ImageLike, size: int = 320) -> torch.Tensor:
        """As the backbone does: (1, 3, H', W') float32 normalised input on the device."""
        return self.backbone.preprocess(image, size)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """(N, D, h, w) float32 codes of a preprocessed (N, 3, H', W') batch, without gradient."""
        return self.encode(self.backbone.forward(batch))

    def extract(self, image: ImageLike, size: int = 320) -> torch.Tensor:
        """(D, h, w) float32 codes of one image, a path included."""
        return self.forward(self.preprocess(image, size))[0]

    @torch.no_grad()
    def encode(self, features: torch.Tensor) -> torch.Tensor:
        """Codes of the backbone's features.

        Args:
            features: (N, C, h, w) float32.

        Returns:
            (N, D, h, w) float32, contiguous.
        """
        network = self.head.network
        if not self.inference_dropout:
            codes: torch.Tensor = network(features)
            return codes.contiguous()
        made = []
        for one in features.unsqueeze(1):
            generator = _generator(one)
            kept = [_dropped(one, network.dropout.p, generator) for _ in range(2)]
            made.append(network.code(*kept))
        return torch.cat(made)


def plain_backbone(extractor: FeatureExtractor) -> FeatureExtractor:
    """The extractor without its head: what mask proposals are made with."""
    return extractor.backbone if isinstance(extractor, BackboneWithHead) else extractor


def encode(extractor: FeatureExtractor, features: torch.Tensor) -> torch.Tensor:
    """What the extractor makes of the (N, C, h, w) features of its `plain_backbone`."""
    return extractor.encode(features) if isinstance(extractor, BackboneWithHead) else features


def head_path(extractor: FeatureExtractor) -> str | None:
    """Folder of the extractor's head; None without a head."""
    return extractor.head_path if isinstance(extractor, BackboneWithHead) else None


def head_kind(extractor: FeatureExtractor) -> HeadKind | None:
    """Kind of the extractor's head; None without a head."""
    return extractor.head.kind if isinstance(extractor, BackboneWithHead) else None


def head_centres(extractor: FeatureExtractor) -> torch.Tensor | None:
    """(K, D) float32 cluster centres of the extractor's head; None without a head or without
    centres.
    """
    return extractor.head.centres if isinstance(extractor, BackboneWithHead) else None


def _generator(features: torch.Tensor) -> torch.Generator:
    """The same draws for the same features, in whatever order or thread images are worked on."""
    digest = hashlib.sha256(features.cpu().numpy().tobytes()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _dropped(
    features: torch.Tensor, probability: float, generator: torch.Generator
) -> torch.Tensor:
    """Whole channels set to 0, the others scaled by 1 / (1 - p), as Dropout2d does."""
    kept = torch.rand(features.shape[:2], generator=generator) >= probability
    return features * (kept / (1.0 - probability)).to(features.device)[:, :, None, None]
