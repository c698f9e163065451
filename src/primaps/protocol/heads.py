"""What gives a token its class scores (teacher, student, linear probe), and label maps from
features by it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from primaps.config import PredictConfig
from primaps.evaluation.probe import LinearProbe
from primaps.pipeline.prediction import labels_from_scores
from primaps.protocol.selection import Selected
from primaps.types import Image

CHANNELS_AT_A_TIME: Final = 64
"""Channels that are upsampled at a time, so that no full-size features are held."""
CRF_SUFFIX: Final = "+crf"


@dataclass(frozen=True)
class Head:
    """Something that gives every token a score per class.

    Attributes:
        name: "teacher", "student" or "linear".
        seed: Of the fit; None for the linear probe.
        weight: (K, C) float32.
        bias: (K,) float32; None for prototypes.
        cosine: Scores are cosine similarities, times the norm of the prototype.
    """

    name: str
    seed: int | None
    weight: Tensor
    bias: Tensor | None = None
    cosine: bool = False

    @property
    def supervised(self) -> bool:
        """Whether its ids are classes already."""
        return self.bias is not None

    def variants(self) -> tuple[str, str]:
        """Names without and with the CRF."""
        return self.name, self.name + CRF_SUFFIX

    @property
    def group(self) -> str:
        """Folder of its label maps, and key of its scores: "seed-0", ...; "supervised" for the
        linear probe.
        """
        return "supervised" if self.seed is None else f"seed-{self.seed}"

    def identity(self) -> str:
        """Changes when the scores change."""
        digest = hashlib.sha256(f"{self.cosine} {tuple(self.weight.shape)}".encode("ascii"))
        for tensor in (self.weight, self.bias):
            digest.update(b"" if tensor is None else tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def heads(selected: Mapping[int, Selected], probe: LinearProbe, *, cosine: bool) -> list[Head]:
    """All heads of a row.

    Args:
        selected: Prototypes by seed.
        probe: The linear probe.
        cosine: The method is not EM: it has no student and classifies by cosine similarity.
    """
    found = []
    for seed, one in selected.items():
        found.append(Head("teacher", seed, one.snapshot.teacher, cosine=cosine))
        if not cosine:
            found.append(Head("student", seed, one.snapshot.student))
    return [*found, Head("linear", None, probe.weight.cpu(), probe.bias.cpu())]


def pixel_scores(features: Tensor, head: Head, size: tuple[int, int]) -> Tensor:
    """Scores of the upsampled features, pixel by pixel, as the CRF takes them.

    Args:
        features: (C, h, w) float32.
        head: The head.
        size: (H, W) in pixels.

    Returns:
        (K, h, w) for heads that are linear, because these commute with upsampling; (K, H, W) for
        cosine similarities, whose norm is that of the upsampled feature.
    """
    scores = token_scores(features, head)
    if not head.cosine:
        return scores
    squares = features.new_zeros(size)
    for start in range(0, len(features), CHANNELS_AT_A_TIME):
        squares += _upsampled(features[start : start + CHANNELS_AT_A_TIME], size).square().sum(0)
    return _upsampled(scores, size) / squares.sqrt().clamp_min(1e-12)


def token_scores(features: Tensor, head: Head) -> Tensor:
    """(K, h, w) inner products of features (C, h, w) with the head, and its bias."""
    scores = torch.einsum("kc,chw->khw", head.weight.to(features.device), features)
    return scores if head.bias is None else scores + head.bias.to(features.device)[:, None, None]


def _upsampled(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(values[None], size=size, mode="bilinear", align_corners=False)[0]


def variant_label_map(
    features: Tensor, head: Head, picture: Image | None, side: int, predict: PredictConfig
) -> NDArray[np.uint8]:
    """(side, side) uint8 label map, refined with the CRF if there is a picture for it.

    Args:
        features: (C, h, w) float32.
        head: The head.
        picture: (side, side, 3) uint8 RGB, or None.
        side: In pixels.
        predict: Settings of the CRF.
    """
    size, config = (side, side), dataclasses.replace(predict, crf=picture is not None)
    # Which class is best does not depend on the norm of a pixel's feature, but the CRF does.
    scores = token_scores(features, head) if picture is None else pixel_scores(features, head, size)
    return labels_from_scores(scores, size, config, picture)
