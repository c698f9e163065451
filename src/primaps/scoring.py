"""Scores of a segmenter on a data set with labels, by one or several processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.bars import told_to
from primaps.compute.group import Alone, Group
from primaps.compute.processes import Place, check_processes, in_processes
from primaps.data.dataset import LabelledDataset
from primaps.data.paired import PairedDataset
from primaps.errors import ConfigError
from primaps.evaluation.by_name import clusters_by_name
from primaps.evaluation.evaluate import evaluate_label_maps
from primaps.features.device import resolve_device
from primaps.progress import Progress, Silent
from primaps.segmenter import Segmenter
from primaps.types import EvaluationResult


def evaluate(
    segmenter: Segmenter,
    dataset: LabelledDataset,
    *,
    crf: bool = False,
    flip: bool = False,
    by_name: bool = False,
    progress: Progress | bool | None = None,
    group: Group | None = None,
) -> EvaluationResult:
    """Scores of a segmenter on a labelled data set, under one Hungarian matching over all its
    images, or by the names of its classes.

    Args:
        segmenter: Fitted; its teacher prototypes are measured.
        dataset: Images with labels.
        crf: Refine the label maps with the dense CRF.
        flip: Average features with those of the mirrored images.
        by_name: Match names instead (`primaps.evaluation.by_name`): pixels of clusters without a
            name of the data set are wrong.
        progress: As for `Segmenter.fit`.
        group: Processes that all call this with the same arguments, and divide the images between
            them; None = this one alone.

    Returns:
        Accuracy, mean IoU and IoU per class as fractions.

    Raises:
        DatasetError: If an image or a label cannot be read.
        CheckpointError: If the segmenter is not fitted.
        ConfigError: If classes are matched by name, and none has a name of the data set; or what
            was given is no data set.
    """
    _check_given(segmenter, dataset)
    told, members = told_to(progress), group or Alone()
    known = clusters_by_name(segmenter.classes, dataset.class_names) if by_name else None
    by_file = isinstance(dataset, PairedDataset) and _reads_otherwise(segmenter)

    def pairs() -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
        for index in range(members.rank, len(dataset), members.size):
            sample = dataset[index]
            image = sample.path if by_file else sample.image
            yield segmenter.predict(image, crf=crf, flip=flip, unknown_below=0.0), sample.labels
            told.advance(min(members.size, len(dataset) - index))  # the others are as far

    told.start("evaluate", len(dataset))
    try:
        return evaluate_label_maps(
            pairs(),
            segmenter.model.num_clusters,
            dataset.class_names,
            members,
            cluster_to_class=known,
        )
    finally:
        told.finish()


def _check_given(segmenter: object, dataset: object) -> None:
    if not isinstance(segmenter, Segmenter):
        raise ConfigError(
            "Expected a primaps.Segmenter, such as primaps.Segmenter.load(DIR) gives, but got"
            f" {type(segmenter).__name__}."
        )
    if not hasattr(dataset, "class_names"):
        raise ConfigError(
            "Expected a labelled data set, such as primaps.load_dataset('camvid', ROOT, 'val')"
            f" gives, but got {type(dataset).__name__}."
        )


def _reads_otherwise(segmenter: Segmenter) -> bool:
    """Whether a segmenter was fitted to files that were read by a range or bands of their own."""
    inputs = segmenter.model.inputs or segmenter.config.inputs
    return bool(inputs.ranges or inputs.bands or inputs.value_range != "auto")


def evaluate_saved(
    folder: str | Path,
    dataset: LabelledDataset,
    *,
    crf: bool = False,
    flip: bool = False,
    by_name: bool = False,
    weights: str | Path | None = None,
    head: str | Path | None = None,
    device: str = "auto",
    processes: int = 1,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Scores of a saved segmenter on a labelled data set, by one or several processes.

    Args:
        folder: As for `Segmenter.load`.
        dataset: Images with labels; it is pickled if there are several processes.
        crf: Refine the label maps with the dense CRF.
        flip: Average features with those of the mirrored images.
        by_name: As for `evaluate`.
        weights: As for `Segmenter.load`.
        head: Likewise.
        device: Likewise; "cuda" is one GPU per process.
        processes: How many divide the images between them.
        progress: Who is told.

    Returns:
        As from `evaluate`: the number of processes makes no difference to the table of counts.

    Raises:
        DatasetError: If an image or a label cannot be read.
        CheckpointError: If there is no model, or the backbone or head is another one.
        BackboneError: If the backbone's weights cannot be had.
        ConfigError: If so many processes cannot be had, or as `evaluate`.
        MissingExtraError: If there shall be several, and Lightning Fabric is not installed.
        ProcessError: If one of them was ended from outside.
    """
    told, target = progress or Silent(), resolve_device(device)
    check_processes(processes, target)
    used = max(1, min(processes, len(dataset)))
    if used < processes:
        told.note(f"{used} of {processes} processes are used: no more than there are images.")
    return in_processes(
        used,
        target,
        told,
        _evaluate_here,
        folder,
        dataset,
        crf=crf,
        flip=flip,
        by_name=by_name,
        weights=weights,
        head=head,
    )


def _evaluate_here(
    place: Place,
    folder: str | Path,
    dataset: LabelledDataset,
    *,
    crf: bool,
    flip: bool,
    by_name: bool,
    weights: str | Path | None,
    head: str | Path | None,
) -> EvaluationResult:
    """What every process does."""
    segmenter = Segmenter.load(folder, weights=weights, head=head, device=str(place.device))
    return evaluate(
        segmenter,
        dataset,
        crf=crf,
        flip=flip,
        by_name=by_name,
        progress=place.progress,
        group=place.group,
    )
