"""The label maps of a row and their scores: teacher, student and linear probe, each without and with the CRF.

All variants of one image share its features. Every label map is kept as a PNG file, so that a resumed row goes on where it was
and anybody can compute the scores again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from primaps.benchmark.features import averaged
from primaps.benchmark.images import Part, framed_labels, measured_picture
from primaps.benchmark.selection import Selected
from primaps.config import CRFConfig, PredictConfig
from primaps.evaluation.evaluate import score_table
from primaps.evaluation.metrics import confusion
from primaps.evaluation.probe import LinearProbe
from primaps.outputs.label_files import read_label_image, read_png_info, write_label_map
from primaps.pipeline.parallel import for_each_image
from primaps.pipeline.prediction import labels_from_scores
from primaps.run import ALGORITHM, Run
from primaps.store import FeatureStore, fingerprint
from primaps.types import EvaluationResult, Image, ImageFile

CHANNELS_AT_A_TIME: Final = 64
PLAIN_SUFFIX: Final = ""
CRF_SUFFIX: Final = "+crf"


@dataclass(frozen=True)
class Head:
    """Something that gives every token a score per class.

    Attributes:
        name: "teacher", "student" or "linear".
        seed: Of the fit; None for the linear probe.
        weight: (K, C) float32.
        bias: (K,) float32; None for prototypes.
        cosine: Scores are cosine similarities.
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
        return self.name + PLAIN_SUFFIX, self.name + CRF_SUFFIX

    def folder(self, root: Path, variant: str) -> Path:
        """Where the label maps of a variant lie."""
        return root / "labels" / ("supervised" if self.seed is None else f"seed-{self.seed}") / variant

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
        cosine: The method is the baseline, which has no student and classifies by cosine similarity.
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
        (K, h, w) for heads that are linear, because these commute with upsampling; (K, H, W) for cosine similarities, whose
        norm is that of the upsampled feature.
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


def write_label_maps(run: Run, root: Path, images: Sequence[ImageFile], store: FeatureStore, found: Sequence[Head]) -> None:
    """Make the label maps that are missing.

    Args:
        run: Whose backbone and settings are used; images that become unreadable are added to its failures.
        root: Folder of the row.
        images: The measured images.
        store: Their features.
        found: The heads.

    Raises:
        OutputError: If something cannot be written.
    """
    settings = fingerprint([ALGORITHM, store.settings, dataclasses.asdict(CRFConfig())])
    identities = {(head.name, head.seed): head.identity() for head in found}

    def missing(image: ImageFile) -> list[tuple[Head, str, dict[str, str]]]:
        info = store.info(image.name)
        if info is None:
            return []
        todo: list[tuple[Head, str, dict[str, str]]] = []
        for head in found:
            stamp = {"head": identities[head.name, head.seed], "settings": settings, "image": info.sha256}
            files = {variant: label_file(root, head, variant, image.name) for variant in head.variants()}
            todo += [(head, variant, stamp) for variant, file in files.items() if read_png_info(file) != stamp]
        return todo

    def label(image: ImageFile) -> None:
        todo = missing(image)
        features = averaged(run, store, image.name)
        picture = measured_picture(image, run.backbone, run.config) if any(_refined(variant) for _, variant, _ in todo) else None
        for head, variant, stamp in todo:
            labels = variant_label_map(features, head, picture if _refined(variant) else None, run.config.features.size)
            write_label_map(label_file(root, head, variant, image.name), labels, stamp)

    wanted = [image for image in images if missing(image)]
    with run.stage("label maps", len(wanted)):
        for_each_image(run, wanted, "label maps", label)


def label_file(root: Path, head: Head, variant: str, name: str) -> Path:
    """Where a label map lies."""
    return head.folder(root, variant) / f"{name}.png"


def variant_label_map(features: Tensor, head: Head, picture: Image | None, side: int) -> NDArray[np.uint8]:
    """(side, side) uint8 label map, refined with the CRF if there is a picture for it.

    Args:
        features: (C, h, w) float32.
        head: The head.
        picture: (side, side, 3) uint8 RGB, or None.
        side: In pixels.
    """
    size, config = (side, side), PredictConfig(crf=picture is not None)
    # Which class is best does not depend on the norm of a pixel's feature, but the CRF does.
    scores = token_scores(features, head) if picture is None else pixel_scores(features, head, size)
    return labels_from_scores(scores, size, config, picture)


def _refined(variant: str) -> bool:
    return variant.endswith(CRF_SUFFIX)


def score_label_maps(
    run: Run, root: Path, part: Part, images: Sequence[ImageFile], found: Sequence[Head]
) -> dict[str, dict[str, EvaluationResult]]:
    """Scores of every variant, from the stored label maps and the labels of the data set.

    Args:
        run: Whose settings are used and whose progress advances.
        root: Folder of the row.
        part: The measured images with their labels.
        images: Those of them that have label maps.
        found: The heads.

    Returns:
        By variant and seed ("0", "1", ...; "supervised" for the linear probe).

    Raises:
        DatasetError: If labels cannot be read.
        ImageError: If a label map cannot be read.
    """
    names, side = part.dataset.class_names, run.config.features.size
    pairs = [(head, variant) for head in found for variant in head.variants()]
    counted: dict[str, list[NDArray[np.int64]]] = {}

    def count(image: ImageFile) -> None:
        truth = framed_labels(part, image.name, run.config, measured=True)
        maps = [read_label_image(label_file(root, head, variant, image.name), (side, side)) for head, variant in pairs]
        counted[image.name] = [
            confusion(truth, labels, len(names), len(head.weight), unassigned_column=True)
            for (head, _), labels in zip(pairs, maps, strict=True)
        ]

    with run.stage("scores", len(images)):
        for_each_image(run, images, "scores", count)
    scores: dict[str, dict[str, EvaluationResult]] = {}
    for position, (head, variant) in enumerate(pairs):
        table: NDArray[np.int64] = np.sum([tables[position] for tables in counted.values()], axis=0)
        known = np.arange(len(head.weight)) if head.supervised else None
        result = score_table(table, names, len(counted), cluster_to_class=known)
        scores.setdefault(variant, {})["supervised" if head.seed is None else str(head.seed)] = result
    return scores


def aggregate(results: Mapping[str, EvaluationResult]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds (None for one seed) of accuracy and mean IoU, fractions."""
    return {name: moments([getattr(result, name) for result in results.values()]) for name in ("accuracy", "miou")}


def moments(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation}
