"""The visual record of a fit: curves, confusion matrix, and training images with their proposals
and pseudo labels.

Labels of training images are drawn here; no fit and no selection sees them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from primaps.data.framing import crop_image
from primaps.data.reading import read_photo
from primaps.evaluation.metrics import class_table
from primaps.features.device import compute_device
from primaps.outputs.confusion import confusion_figure
from primaps.outputs.curve_figures import curves_figure
from primaps.outputs.events import write_events
from primaps.outputs.panels import TrainingPanel, panels_figure
from primaps.outputs.png import figure_png, png_picture
from primaps.pipeline.failures import reported
from primaps.pipeline.fit_curves import fit_curves
from primaps.pipeline.sampling import evenly
from primaps.protocol.heads import Head, variant_label_map
from primaps.protocol.images import Part, framed_labels
from primaps.prototypes.em import TrainingImage, expectation
from primaps.prototypes.steps.choice import sums_on
from primaps.prototypes.steps.plain import pseudo_labels
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import atomic_write
from primaps.types import (
    IGNORE_INDEX,
    ClusterAssignment,
    EvaluationResult,
    FitCurves,
    ImageFile,
    View,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS: Final = 6
"""Training images that are drawn, evenly spread."""


def write_records(
    run: Run,
    root: Path,
    part: Part,
    found: Sequence[Head],
    models: Mapping[int, Path],
    scores: Mapping[str, EvaluationResult],
    *,
    events: bool = False,
) -> dict[str, dict[str, str]]:
    """Write ``curves.png``, ``confusion.png`` and ``panels.png`` of every seed, and TensorBoard
    events if they are wanted.

    Args:
        run: Whose stored features the models were fitted to; training images that became unreadable
            are added to its failures.
        root: Folder of the row; figures lie in ``record/seed-0``, ..., events in
            ``tensorboard/seed-0``, ...
        part: The training images with their labels.
        found: The heads of the row; the teachers are drawn.
        models: Folder of the fitted model by seed; none for prototypes that were not fitted, which
            have no curves.
        scores: By seed, of the teacher with the CRF on the measured images.
        events: Write events, too.

    Returns:
        By seed the figures' paths below ``root``, by name.

    Raises:
        DatasetError: If labels cannot be read.
        CheckpointError: If the curves of a model are damaged.
        OutputError: If something cannot be written.
        MissingExtraError: If events are wanted and tensorboard is not installed.
    """
    written: dict[str, dict[str, str]] = {}
    for head in found:
        if head.name == "teacher" and head.seed is not None:
            folder, seed = models.get(head.seed), str(head.seed)
            curves = None if folder is None else fit_curves(run, Model.load(folder), folder)
            pictures = {
                name: figure_png(figure)
                for name, figure in _figures(run, part, head, curves, scores[seed]).items()
            }
            written[seed] = {name: f"record/{head.group}/{name}.png" for name in pictures}
            for name, data in pictures.items():
                atomic_write(root / written[seed][name], data)
            if events:
                shown = {
                    name: png_picture(data) for name, data in pictures.items() if name != "curves"
                }
                write_events(events_folder(root, head.seed), curves, shown)
    return written


def events_folder(root: Path, seed: int) -> Path:
    """Where the TensorBoard events of a seed lie in the folder of a row."""
    return root / "tensorboard" / f"seed-{seed}"


def _figures(
    run: Run, part: Part, teacher: Head, curves: FitCurves | None, result: EvaluationResult
) -> dict[str, Figure]:
    names = result.assignment.class_names
    table = class_table(result.confusion, result.assignment.cluster_to_class)[:, : len(names)]
    panels = training_panels(run, part, teacher, result.assignment)
    return {
        **({} if curves is None else {"curves": curves_figure(curves)}),
        "confusion": confusion_figure(table, names),
        **({"panels": panels_figure(panels, names)} if panels else {}),
    }


def training_panels(
    run: Run, part: Part, teacher: Head, assignment: ClusterAssignment
) -> list[TrainingPanel]:
    """Some training images with truth, proposals, the teacher's vote over the proposals, and its
    label map after the CRF.

    Args:
        run: Its proposals stage is done; images that became unreadable are added to its failures
            and left out.
        part: The training images with their labels.
        teacher: Prototypes.
        assignment: The class that each cluster stands for.

    Raises:
        DatasetError: If labels cannot be read.
        CheckpointError: If stored features are damaged.
    """
    images, side = run.usable_images(), run.config.features.size
    found: list[tuple[ImageFile, NDArray[np.uint8], NDArray[np.int64]]] = []
    for index in evenly(len(images), PANELS):
        with reported(run.failures, images[index], "record"):
            picture = crop_image(read_photo(images[index].path, sys.maxsize).image, side)
            found.append(
                (
                    images[index],
                    picture,
                    framed_labels(part, images[index].name, run.config, measured=False),
                )
            )
    training = [_training_image(run, image) for image, _, _ in found]
    panels = []
    for (image, picture, truth), one, pseudo in zip(
        found, training, _voted(run, teacher, training), strict=True
    ):
        predicted = variant_label_map(
            one.teacher_features, teacher, picture, side, run.config.predict
        )
        panels.append(
            TrainingPanel(
                name=image.name,
                image=picture,
                truth=truth,
                proposals=one.proposals.cpu().numpy(),
                pseudo_label=as_classes(pseudo, assignment),
                prediction=as_classes(predicted, assignment),
            )
        )
    return panels


def _training_image(run: Run, image: ImageFile) -> TrainingImage:
    """Plain view, as an image that was not flipped enters a step of EM."""
    device = compute_device(run.backbone.device)
    features = run.store.features(image.name, View()).float().to(device)
    return TrainingImage(features, features, run.store.proposals(image.name).to(device))


def _voted(run: Run, teacher: Head, images: Sequence[TrainingImage]) -> list[NDArray[np.int64]]:
    """(H, W) int64 pseudo labels of every image, from one vote over all of them."""
    if not images:
        return []
    settings = run.config.fit
    least = 0.0 if settings.on_proposals else settings.min_agreement
    weight = teacher.weight.to(images[0].teacher_features.device)
    if teacher.cosine:  # the norm of a token does not change its class, that of a prototype would
        weight = torch.nn.functional.normalize(weight, dim=1)
    config = dataclasses.replace(settings, min_agreement=least)
    votes = expectation(weight, images, sums_on(weight.device), config)
    return [
        pseudo_labels(one.proposals[None].long(), vote[None])[0].cpu().numpy()
        for one, vote in zip(images, votes, strict=True)
    ]


def as_classes(
    clusters: NDArray[np.integer[Any]], assignment: ClusterAssignment
) -> NDArray[np.int64]:
    """The class that each cluster stands for, pixel by pixel.

    Args:
        clusters: (H, W) cluster ids, IGNORE_INDEX = none.
        assignment: Class of every cluster.

    Returns:
        (H, W) int64 class ids, IGNORE_INDEX where there is none.
    """
    classes = np.full(IGNORE_INDEX + 1, IGNORE_INDEX, dtype=np.int64)
    classes[: len(assignment.cluster_to_class)] = assignment.cluster_to_class
    found: NDArray[np.int64] = classes[clusters]
    return found
