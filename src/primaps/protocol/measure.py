"""One row from images to scores. Every stage skips what is current, so that a killed row resumes
and gives the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.config import to_dict
from primaps.errors import ConfigError
from primaps.heads.extractor import head_centres, head_kind
from primaps.outputs.scores import as_record
from primaps.pipeline import PROPOSAL_STAGES, extract, finishing
from primaps.pipeline.opening import claim
from primaps.progress import Progress, Silent
from primaps.protocol.deviations import deviations
from primaps.protocol.features import extract_measured, measured_store
from primaps.protocol.fits import fit_seed, head_alone
from primaps.protocol.heads import Head, heads
from primaps.protocol.images import Part, open_parts
from primaps.protocol.label_maps import aggregate, score_label_maps, write_label_maps
from primaps.protocol.oracle import best_on_labels
from primaps.protocol.probing import linear_probe
from primaps.protocol.published import SOURCE, published
from primaps.protocol.record import events_folder, write_records
from primaps.protocol.row import Row
from primaps.protocol.selection import Selected, last, most_stable
from primaps.protocol.tables import HEADLINE, latex_row, markdown_row
from primaps.runs.run import Run, RunFolder, versions
from primaps.runs.store import FeatureStore, atomic_write, remove_file, write_json
from primaps.types import EvaluationResult, FeatureExtractor, ImageFile

FORMAT: Final = 1
COMMAND: Final = "benchmark"

_Scores = Mapping[str, Mapping[str, EvaluationResult]]  # by variant and seed


@dataclass(frozen=True)
class RowPlace:
    """Where a row reads and writes.

    Attributes:
        root: Folder of the data set.
        out: Folder of the row.
        store: Run folder for features and proposals, which rows of the same data set and backbone
            can share; None = in ``out``.
        events: Write TensorBoard events into ``out/tensorboard``, too.
        overwrite: Redo what other settings made.
    """

    root: Path
    out: Path
    store: Path | None = None
    events: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class _Job:
    """One row at work.

    Attributes:
        row: What is measured.
        fitted: Images to fit to.
        measured: Images to measure on.
        features: Run folder of the features; rows may share it.
        own: Run folder of the row.
        inputs: For the records.
    """

    row: Row
    fitted: Part
    measured: Part
    features: Run
    own: Run
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class _Fitted:
    """What came out of the fits: by seed the selected prototypes and the folder of the model, if
    any, and all heads.
    """

    selected: Mapping[int, Selected]
    folders: Mapping[int, Path]
    heads: list[Head]


def measure_row(
    row: Row,
    place: RowPlace,
    backbone: FeatureExtractor,
    *,
    parts: tuple[Part, Part] | None = None,
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Run]:
    """Measure a row of the table. Writes ``metrics.json``, ``row.md``, ``row.tex`` and ``record/``.

    Args:
        row: What is measured.
        place: Where it reads and writes.
        backbone: The frozen feature extractor that the row names.
        parts: The images to fit to and to measure on, if `open_parts` has found them already.
        progress: Who is told.

    Returns:
        What ``metrics.json`` holds, and the run of the row, which knows the inputs that could not
        be used.

    Raises:
        ConfigError: If a setting is out of range, or a folder was made with other settings.
        DatasetError: If the data set is incomplete, or no image could be used.
        OutputError: If something cannot be written, or another process is at work in a folder.
        MissingExtraError: If events are wanted and tensorboard is not installed.
    """
    parts = open_parts(row, place.root) if parts is None else parts
    job = _open(row, parts, place, backbone, progress or Silent())
    job.own.folder.claim(
        {COMMAND: row_settings(row), "backbone": dict(backbone.describe())},
        overwrite=place.overwrite,
    )
    with finishing(job.own, COMMAND, job.inputs):
        if place.overwrite:
            remove_file(place.out / "metrics.json")  # until they are measured anew
        claim(job.features, PROPOSAL_STAGES, overwrite=place.overwrite)
        # held to the end, because fits and probe are written there, too
        with finishing(job.features, COMMAND, job.inputs):
            fitted, scores, record = _stages(job, events=place.events)
    metrics = {**_metrics(job, fitted, scores), "record": record}
    write_row(place.out, metrics)
    return metrics, job.own


def _stages(job: _Job, *, events: bool) -> tuple[_Fitted, _Scores, dict[str, Any]]:
    """Features and proposals, fits, label maps, scores, and the record of them."""
    out = job.own.folder.root
    extract(job.features)
    tested = measured_store(job.features, job.row.split)
    images = extract_measured(job.features, job.measured.files, tested)
    job.own.failures += job.features.failures
    # Features are read where they lie; failures count for the row.
    shared = dataclasses.replace(job.features, failures=job.own.failures, counts={})
    fitted = _fit(job, shared, tested, images, events=events)
    write_label_maps(job.own, out, images, tested, fitted.heads)
    usable = _without_failures(job.own, images)
    scores = score_label_maps(job.own, out, job.measured, usable, fitted.heads)
    record = write_records(
        shared, out, job.fitted, fitted.heads, fitted.folders, scores[HEADLINE], events=events
    )
    return fitted, scores, record


def row_settings(row: Row) -> dict[str, Any]:
    """What the folder of a row must agree on; more seeds may be added, and the backbone's
    description knows the head.
    """
    return {
        key: value for key, value in dataclasses.asdict(row).items() if key not in {"seeds", "head"}
    }


def _open(
    row: Row,
    parts: tuple[Part, Part],
    place: RowPlace,
    backbone: FeatureExtractor,
    progress: Progress,
) -> _Job:
    fitted, measured = parts
    config = row.config(backbone, len(fitted.dataset.class_names), len(fitted.files))
    out, store = place.out, place.store or place.out / "features"
    if store.resolve() == out.resolve():
        raise ConfigError(f"Expected --store to be another folder than --out, but both are {out}.")
    own = Run(RunFolder(out), backbone, config, fitted.files, progress)
    # One account of time: what this row spends on features counts for it, what earlier rows spent
    # does not.
    features = Run(RunFolder(store), backbone, config, fitted.files, progress, seconds=own.seconds)
    return _Job(row, fitted, measured, features, own, (str(place.root),))


def _fit(
    job: _Job, run: Run, tested: FeatureStore, images: tuple[ImageFile, ...], *, events: bool
) -> _Fitted:
    """Fit all seeds before any label is read, so that a bad one changes no fit; select per seed;
    fit the linear probe.
    """
    centres = head_centres(run.backbone) if job.row.method == "head" else None
    cosine = job.row.method != "em"
    logs = {
        seed: events_folder(job.own.folder.root, seed) if events else None
        for seed in range(job.row.seeds)
    }
    fits = (
        {}
        if centres is not None
        else {seed: fit_seed(run, seed, events=log) for seed, log in logs.items()}
    )
    selected = {} if centres is None else {0: head_alone(centres)}
    for seed, (_, candidates) in fits.items():
        if job.row.select == "agreement":
            selected[seed] = most_stable(run, candidates, cosine=cosine)
        elif job.row.select == "oracle":
            measured = dataclasses.replace(job.measured, files=_without_failures(run, images))
            selected[seed] = best_on_labels(run, candidates, measured, tested)
        else:
            selected[seed] = last(candidates)
    probe = linear_probe(run, job.fitted, job.row.probe_steps)
    folders = {seed: folder for seed, (folder, _) in fits.items()}
    return _Fitted(selected, folders, heads(selected, probe, cosine=cosine))


def _without_failures(run: Run, images: tuple[ImageFile, ...]) -> tuple[ImageFile, ...]:
    failed = {failure.path for failure in run.failures}
    return tuple(image for image in images if image.place not in failed)


def _metrics(job: _Job, fitted: _Fitted, scores: _Scores) -> dict[str, Any]:
    row, config = job.row, job.own.config
    description = dict(job.own.backbone.describe())
    head = head_kind(job.own.backbone)
    what = {
        "row": dataclasses.asdict(row),
        "num_classes": len(job.fitted.dataset.class_names),
        "num_clusters": config.num_clusters,
        "size": config.features.size,
        "head": head,
        "backbone": description,
        "settings": to_dict(config),
    }
    known = None if deviations(what) else published(row.method, row.backbone, row.dataset, head)
    return {
        "format": FORMAT,
        **what,
        "weights": _given_weights(job.own.backbone.weights_path, description),
        "oracle": row.select == "oracle",
        "threshold": job.features.folder.record["threshold"],
        "train_images": len(job.features.usable_images()),
        "published": None
        if known is None
        else {"accuracy": known[0] / 100, "miou": known[1] / 100, "source": SOURCE},
        "variants": {
            variant: {
                "uses_labels_to_fit": "supervised" in by_seed,
                **aggregate(by_seed),
                "seeds": {seed: as_record(result) for seed, result in by_seed.items()},
            }
            for variant, by_seed in scores.items()
        },
        "selection": {str(seed): one.record() for seed, one in fitted.selected.items()},
        "models": {str(seed): str(folder) for seed, folder in fitted.folders.items()},
        "versions": versions(),
        "seconds": job.own.folder.record["seconds"],
        "failures": len(job.own.failures),
    }


def _given_weights(path: str | None, description: Mapping[str, Any]) -> str | None:
    """File and hash of weights that the user gave; None = those that are bundled or downloaded."""
    return (
        None
        if path is None
        else f"{Path(path).name} {description.get('weights_sha256', '')[:8]}".strip()
    )


def write_row(out: Path, metrics: Mapping[str, Any]) -> None:
    """Write ``row.md``, ``row.tex`` and ``metrics.json`` of a row.

    Raises:
        OutputError: If something cannot be written.
    """
    atomic_write(out / "row.md", markdown_row(metrics).encode("utf-8"))
    atomic_write(out / "row.tex", latex_row(metrics).encode("utf-8"))
    write_json(out / "metrics.json", dict(metrics))  # last: its presence says that the row is done
