"""The label maps of a row and their scores: teacher, student and linear probe, each without and
with the CRF.

All variants of one image share its features. Every label map is kept as a PNG file, so that a
resumed row goes on where it was and anybody can compute the scores again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from primaps.config import CRFConfig
from primaps.errors import DatasetError
from primaps.evaluation.evaluate import score_table
from primaps.evaluation.metrics import confusion
from primaps.outputs.label_files import read_label_image, read_png_info, write_label_map
from primaps.pipeline.failures import all_failed
from primaps.pipeline.parallel import for_each_image
from primaps.proposals.refining import scaled_constants
from primaps.protocol.counting import TableSums
from primaps.protocol.features import averaged
from primaps.protocol.heads import CRF_SUFFIX, Head, variant_label_map
from primaps.protocol.images import Part, framed_labels, measured_picture
from primaps.runs.run import ALGORITHM, Run
from primaps.runs.store import FeatureStore, fingerprint
from primaps.types import EvaluationResult, ImageFile


@dataclass(frozen=True)
class _Missing:
    """A label map to make: with which head, where it goes, and what it is stamped with."""

    head: Head
    file: Path
    stamp: dict[str, str]
    refined: bool


def write_label_maps(
    run: Run, root: Path, images: Sequence[ImageFile], store: FeatureStore, found: Sequence[Head]
) -> None:
    """Make the label maps that are missing.

    Args:
        run: Whose backbone and settings are used; images that become unreadable are added to its
            failures.
        root: Folder of the row.
        images: The measured images.
        store: Their features.
        found: The heads.

    Raises:
        OutputError: If something cannot be written.
    """
    config = run.config
    constants = scaled_constants(CRFConfig(), config.predict.crf_scale)
    settings = fingerprint([ALGORITHM, store.settings, dataclasses.asdict(constants)])
    stamps = [(head, {"head": head.identity(), "settings": settings}) for head in found]

    def missing(image: ImageFile) -> list[_Missing]:
        info = store.info(image.name)
        if info is None:
            return []
        return [
            one
            for head, stamp in stamps
            for one in _missing(root, image.name, head, {**stamp, "image": info.sha256})
        ]

    def label(image: ImageFile) -> None:
        todo = missing(image)
        features = averaged(run, store, image.name)
        refined = any(one.refined for one in todo)
        picture = measured_picture(image, run.backbone, config) if refined else None
        for one in todo:
            shown = picture if one.refined else None
            labels = variant_label_map(
                features, one.head, shown, config.features.size, config.predict
            )
            write_label_map(one.file, labels, one.stamp)

    wanted = [image for image in images if missing(image)]
    with run.stage("label maps", len(wanted)):
        for_each_image(run, wanted, "label maps", label)


def label_file(root: Path, head: Head, variant: str, name: str) -> Path:
    """Where a label map lies."""
    return root / "labels" / head.group / variant / f"{name}.png"


def _missing(root: Path, name: str, head: Head, stamp: dict[str, str]) -> list[_Missing]:
    """The label maps of one image and head that are not there, or were made in another way."""
    files = {variant: label_file(root, head, variant, name) for variant in head.variants()}
    return [
        _Missing(head, file, stamp, refined=variant.endswith(CRF_SUFFIX))
        for variant, file in files.items()
        if read_png_info(file) != stamp
    ]


def score_label_maps(
    run: Run, root: Path, part: Part, images: Sequence[ImageFile], found: Sequence[Head]
) -> dict[str, dict[str, EvaluationResult]]:
    """Scores of every variant, from the stored label maps and the labels of the data set.

    Args:
        run: Whose settings are used and whose progress advances; images whose labels or label maps
            cannot be used are added to its failures and left out.
        root: Folder of the row.
        part: The measured images with their labels.
        images: Those of them that have label maps.
        found: The heads.

    Returns:
        By variant and seed ("0", "1", ...; "supervised" for the linear probe).

    Raises:
        DatasetError: If no labels can be used.
    """
    names, side = part.dataset.class_names, run.config.features.size
    pairs = [(head, variant) for head in found for variant in head.variants()]
    sums = TableSums([(len(names), len(head.weight) + 1) for head, _ in pairs])

    def count(image: ImageFile) -> None:
        truth = framed_labels(part, image.name, run.config, measured=True)
        maps = [
            read_label_image(label_file(root, head, variant, image.name), (side, side))
            for head, variant in pairs
        ]
        counted = zip(pairs, maps, strict=True)
        sums.add(
            [
                confusion(truth, found, len(names), len(head.weight), unassigned_column=True)
                for (head, _), found in counted
            ]
        )

    with run.stage("scores", len(images)):
        for_each_image(run, images, "scores", count)
    if not sums.images:
        raise DatasetError(all_failed(run.failures))
    scores: dict[str, dict[str, EvaluationResult]] = {}
    for (head, variant), table in zip(pairs, sums.tables, strict=True):
        known = np.arange(len(head.weight)) if head.supervised else None
        result = score_table(table, names, sums.images, cluster_to_class=known)
        scores.setdefault(variant, {})[head.group.removeprefix("seed-")] = result
    return scores


def aggregate(results: Mapping[str, EvaluationResult]) -> dict[str, Any]:
    """Mean and sample standard deviation over seeds (None for one seed) of accuracy and mean IoU,
    fractions.
    """
    return {
        name: moments([getattr(result, name) for result in results.values()])
        for name in ("accuracy", "miou")
    }


def moments(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and sample standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "std": deviation}
