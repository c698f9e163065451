"""Label maps with a model that was fitted elsewhere: its folder, its names, its report."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from primaps.config import with_settings
from primaps.errors import CheckpointError, ConfigError
from primaps.pipeline.classes import Clusters, copy_classes
from primaps.pipeline.framed import image_entry
from primaps.pipeline.labelling import Extras, empty_clusters
from primaps.pipeline.overlays import write_overlays
from primaps.pipeline.overview import write_run_report
from primaps.pipeline.places import refuse_place
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import write_json


def refuse_run(out: Path, model: Model) -> None:
    """Keep label maps of a model out of the folder of a run, which has its own.

    Raises:
        ConfigError: If the folder has stored features, or another model of its own, or lies in a
            run.
    """
    refuse_place(out)
    folder = RunFolder(out)
    own = (folder.model / "model.json").exists() and Model.load(folder.model).fingerprint
    if folder.manifest.exists() or own not in {False, model.fingerprint}:
        raise ConfigError(
            f"Expected --out to be a folder for these label maps alone, but {out} is a run, with"
            " label maps of the images that it was fitted to. Choose another --out."
        )


def run_on_store(stored: Run, out: Path, model: Model, given: Mapping[str, Any]) -> Run:
    """A run with a folder of its own on the features of another one.

    Args:
        stored: The run that has the features.
        out: The other folder.
        model: The model that label maps are made with.
        given: Settings that are neither the run's nor, of label maps, the model's.

    Raises:
        CheckpointError: If the model was fitted to other features.
        ConfigError: If both folders are the same, or a setting is unknown or out of range.
    """
    if out.exists() and out.samefile(stored.folder.root):
        raise ConfigError(
            f"Expected --out to be another folder than the run's, but both are {str(out)!r}."
        )
    model.check_backbone(stored.backbone.describe())
    if model.size != stored.config.features.size:
        raise CheckpointError(
            f"Expected a model for inputs of {stored.config.features.size} pixels, as they are"
            f" stored, but got one for {model.size}. Fit it to this run: primaps fit"
            f" {stored.folder.root} --model DIR"
        )
    usual = dataclasses.replace(
        stored.config,
        predict=model.predict or stored.config.predict,
        num_clusters=model.num_clusters,
    )
    return Run(
        RunFolder(out),
        stored.backbone,
        with_settings(usual, given),
        stored.images,
        stored.progress,
        chosen_threshold=stored.chosen_threshold,
    )


def claim_for_model(run: Run, model: Model, *, overwrite: bool) -> None:
    """Take a folder, which the run holds already, for the label maps of a model.

    Raises:
        ConfigError: If it has those of another one and ``overwrite`` is not set.
    """
    # the configuration on record may be that of an earlier model
    run.folder.record["num_clusters"] = model.num_clusters
    run.folder.claim({"model": {"fingerprint": model.fingerprint}}, overwrite=overwrite)


def take_names(run: Run, model: Model, names: Path | None) -> None:
    """Have the names of a model in the folder of its label maps.

    Args:
        run: The run.
        model: The model.
        names: Its folder, or that of its run; None = it has none.

    Raises:
        ConfigError: If names have a mistake.
        OutputError: If they cannot be written.
    """
    if (run.folder.model / "model.json").exists():
        return  # the folder of the model itself: its names are there
    source = None if names is None else NamedFolder.find(names)
    target = NamedFolder(run.folder.root.absolute())
    note = copy_classes(source, target, Clusters(model.num_clusters, model.fingerprint))
    if note is not None:
        run.progress.note(note)


def finish_predicted(run: Run, model: Model, inputs: Sequence[str], extras: Extras | None) -> None:
    """Where the images lie, overlays and the report, once label maps are made.

    Raises:
        ConfigError: If the names have a mistake.
        OutputError: If something cannot be written.
    """
    if extras is not None and extras.overlays:
        write_overlays(run, model.fingerprint)
    if (run.folder.model / "model.json").exists():
        return  # the folder of the model itself is shown with its run
    failed = {failure.path for failure in run.failures}
    images = {image.name: image_entry(image) for image in run.images if image.place not in failed}
    write_json(run.folder.images_file, {"images": images})
    run.counts["dead_clusters"] = empty_clusters(run, model)
    write_run_report(run, inputs)
