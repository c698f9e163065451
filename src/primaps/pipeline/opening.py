"""Find the images and claim the run folder, or open one again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from primaps.config import (
    GENERATION,
    Config,
    FailureLimit,
    FitConfig,
    differences,
    from_record,
    to_dict,
)
from primaps.data.looking import HERE, Look
from primaps.data.scanning import Scan, scan
from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.heads.extractor import head_path
from primaps.heads.loading import reload_backbone
from primaps.pipeline.failures import all_failed, refuse_more
from primaps.pipeline.fitting import initial_prototypes
from primaps.pipeline.framed import listed_image
from primaps.pipeline.image_list import read_image_list
from primaps.pipeline.input_pages import all_pages
from primaps.pipeline.input_ranges import settle_ranges
from primaps.pipeline.kept_store import rebuilding
from primaps.pipeline.number_of_classes import recall_number
from primaps.pipeline.output_names import without_names_that_fail
from primaps.pipeline.places import refuse_own_outputs, refuse_place
from primaps.pipeline.settings import preset_for
from primaps.pipeline.threshold import settle_threshold
from primaps.progress import Progress, Silent, tell_resumed
from primaps.runs.run import REMEDY, Run, RunFolder
from primaps.runs.store import while_at_work
from primaps.types import FeatureExtractor

PROPOSAL_STAGES = ("backbone", "features", "proposals")
ALL_STAGES = (*PROPOSAL_STAGES, "fit", "predict")


def open_run(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    config: Config,
    *,
    stages: Sequence[str] = ALL_STAGES,
    overwrite: bool = False,
    progress: Progress | None = None,
    remedy: str = REMEDY,
    max_failures: FailureLimit | None = None,
) -> Run:
    """Find the images and claim the run folder.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: The run folder; not scanned if it lies inside an input.
        backbone: The frozen feature extractor.
        config: All settings.
        stages: Whose settings must agree with what the folder holds.
        overwrite: Redo what other settings made.
        progress: Who is told.
        remedy: What a refusal of other settings advises.
        max_failures: See `find_images`.

    Raises:
        ConfigError: If no input exists, the folder is an input, or it was made with other settings.
        FailureLimitError: If too many inputs cannot be used.
        DatasetError: If there is no image, or a threshold has to be calibrated and none could be
            used.
        OutputError: If the folder cannot be written, or another process is at work in it.
    """
    run = find_images(inputs, out, backbone, config, progress=progress, max_failures=max_failures)
    if "fit" in stages:
        # a contradiction between head and settings shows before hours of work
        initial_prototypes(run)
    claim(run, stages, overwrite=overwrite, remedy=remedy)
    return run


def find_images(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    config: Config,
    *,
    progress: Progress | None = None,
    max_failures: FailureLimit | None = None,
    look: Look = HERE,
) -> Run:
    """Find the images of a run whose folder is yet to be claimed; nothing is written.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: The run folder; not scanned if it lies inside an input.
        backbone: The frozen feature extractor.
        config: All settings.
        progress: Who is told.
        max_failures: With more inputs that cannot be used the work ends; None = any number.
        look: Who looks into files with several pages.

    Raises:
        ConfigError: If no input exists, or the folder is an input, belongs to another run or holds
            a model.
        FailureLimitError: If too many inputs cannot be used.
        DatasetError: If there is no image.
    """
    folder = RunFolder(Path(out))
    refuse_place(folder.root)
    for given in inputs:
        if _same_folder(given, folder.root):
            raise ConfigError(
                "Expected --out to be another folder than the images', but both are"
                f" {str(given)!r}."
            )
    if not any(_may_exist(given) for given in inputs):
        where = f"found nothing at {', '.join(map(str, inputs))}" if inputs else "got none at all"
        raise ConfigError(f"Expected files, folders or patterns that exist, but {where}.")
    found = scan(inputs, exclude=folder.root)
    return found_run(
        found, folder, backbone, config, progress=progress, max_failures=max_failures, look=look
    )


def found_run(
    found: Scan,
    folder: RunFolder,
    backbone: FeatureExtractor,
    config: Config,
    *,
    progress: Progress | None = None,
    max_failures: FailureLimit | None = None,
    look: Look = HERE,
) -> Run:
    """The run on what inputs contain, whose folder is yet to be claimed; nothing is written.

    Args:
        found: What they contain.
        folder: The run folder.
        backbone: The frozen feature extractor.
        config: All settings.
        progress: Who is told.
        max_failures: See `find_images`.
        look: Likewise.

    Raises:
        ConfigError: If there are outputs of the folder among the images.
        DatasetError: If there is no image.
    """
    refuse_own_outputs(found.images, folder.root)
    listed = all_pages(found.images, look) if config.inputs.pages == "all" else found.images
    images, refused, notes = without_names_that_fail(listed, folder.root)
    failures = [*found.failures, *refused]
    config = _as_before(folder, config)
    run = Run(folder, backbone, config, images, progress or Silent())
    run.fail(failures)
    for note in (*_told(found), *notes):
        run.progress.note(note)
    if not images:
        raise DatasetError(all_failed(failures))
    if max_failures is not None:
        run.most_failures = max_failures.most(len(images) + len(failures))
        refuse_more(run.failures, run.most_failures)
    return run


def _told(found: Scan) -> Iterator[str]:
    """What was found and is not taken."""
    if found.passed_over:
        counts = ", ".join(
            f"{count} {extension or 'without extension'}"
            for extension, count in sorted(found.passed_over.items())
        )
        yield f"Passed over, no images by name: {counts}."
    if found.runs:
        named = ", ".join(str(path) for path in found.runs)
        yield f"Not entered, run folders and exports: {named}."


def _as_before(folder: RunFolder, config: Config) -> Config:
    """The settings, with those that a folder keeps from its first run on; how much of the store is
    kept is only taken from there if nothing else is asked for.
    """
    kept = config.store or folder.record.get("config", {}).get("store") or "full"
    config = dataclasses.replace(config, store=kept)
    if "config" not in folder.record:
        return config
    known = from_record(folder.record["config"]).features.max_enlargement
    features = dataclasses.replace(config.features, max_enlargement=known)
    return dataclasses.replace(config, features=features)


def claim(
    run: Run,
    stages: Sequence[str],
    *,
    overwrite: bool = False,
    further: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    outdated: Sequence[str] = (),
    remedy: str = REMEDY,
    look: Look = HERE,
) -> None:
    """Take the folder of a run for its settings.

    Args:
        run: The run.
        stages: Whose settings must agree with what the folder holds.
        overwrite: Redo what other settings made.
        further: Settings of stages that the run's configuration does not know, which must agree as
            well.
        outdated: See `primaps.runs.run.RunFolder.claim`.
        remedy: Likewise.
        look: Who looks into images of deep values.

    Raises:
        ConfigError: If the folder was made with other settings, or label maps are wanted of
            anything but whole photographs.
        OutputError: If the folder cannot be written, or another process is at work in it.
    """
    if "predict" in stages and run.config.features.framing != "whole":
        raise ConfigError(
            "Expected framing to be 'whole', because label maps are made of whole photographs, but"
            f" got {run.config.features.framing!r}. `primaps benchmark` works on centre crops."
        )
    if {"proposals", "predict"} & set(stages):
        settle_ranges(run, anew=overwrite, look=look)
    if "proposals" in stages:
        settle_threshold(run, anew=overwrite)
    if "fit" in stages:
        recall_number(run, anew=overwrite)
    folder, settings = run.folder, run.settings()
    merged = _merged(folder.record.get("config", {}), run.config, stages)
    folder.record |= {
        "config": merged,
        "weights": run.backbone.weights_path,
        "head": head_path(run.backbone),
    }
    wanted = {stage: settings[stage] for stage in stages}
    known = folder.record.get("settings")
    if "inputs" in settings or (known or {}).get("inputs"):
        wanted["inputs"] = settings.get("inputs", {})
        if known:
            known.setdefault("inputs", {})  # nothing else was possible
    folder.claim(
        {**wanted, **further},
        overwrite=overwrite,
        outdated=outdated,
        remedy=remedy,
    )
    if folder.resumed:
        tell_resumed(run.progress, str(folder.root))


def _merged(known: Mapping[str, Any], config: Config, stages: Sequence[str]) -> dict[str, Any]:
    """The configuration on record, with what belongs to the given stages replaced."""
    new = to_dict(config)
    keys = {"preset", "inputs", *stages} | ({"num_clusters", "seed"} if "fit" in stages else set())
    keys |= {"store"} if "proposals" in stages else set()
    return {
        **known,
        **{key: value for key, value in new.items() if key in keys or key not in known},
    }


def reopen(
    root: Path,
    fit_changes: Mapping[str, Any],
    *,
    weights: str | Path | None = None,
    head: str | Path | None = None,
    device: str = "auto",
    backbone: FeatureExtractor | None = None,
    progress: Progress | None = None,
) -> Run:
    """Open a run folder for another fit or report on what it has stored, or a folder of `predict`
    for another report, without scanning the inputs again.

    Args:
        root: The run folder.
        fit_changes: New values for ``num_clusters``, ``seed`` and fields of `FitConfig`; all else
            is as on record.
        weights: Weights file of the backbone, if it has moved.
        head: Folder of the head, if it has moved.
        device: Where the fit runs.
        backbone: The one that made the features, if it is loaded already; None = it is loaded as it
            is on record, with ``weights`` and ``head`` on ``device``.
        progress: Who is told.

    Raises:
        CheckpointError: If the folder holds no run with stored proposals, or its features were made
            by another backbone or head.
        BackboneError: If the backbone's weights cannot be had.
    """
    folder = RunFolder(root)
    manifest_file = folder.manifest
    listing = manifest_file if manifest_file.exists() else folder.images_file
    if "config" not in folder.record or not listing.exists():
        again = "Run `primaps segment` or `primaps proposals` with this folder as --out first."
        if "proposals" in folder.record.get("settings", {}):  # somebody deleted the store
            again = f"Make it again: {rebuilding(folder)}"
        raise CheckpointError(
            f"Expected {root} to hold a run (run.json and stored proposals), but it does not."
            f" {again}{while_at_work(root)}"
        )
    manifest = read_image_list(listing)
    config = _changed_config(folder, fit_changes)
    if backbone is None:
        backbone = reload_backbone(
            folder.record["settings"]["backbone"],
            weights=weights or folder.record["weights"],
            head=head or folder.record.get("head"),
            device=device,
        )
    _check_same_backbone(folder, backbone)
    images = tuple(listed_image(name, entry) for name, entry in manifest["images"].items())
    run = Run(folder, backbone, config, images, progress or Silent())
    run.chosen_threshold, run.chosen_number = folder.threshold, folder.number
    if folder.generation != GENERATION:
        run.progress.note(
            f"{root} was made by an earlier version, which had other defaults. The settings on its"
            " record are kept."
        )
    return run


def _check_same_backbone(folder: RunFolder, backbone: FeatureExtractor) -> None:
    """Refuse a backbone that did not make the features in a run folder."""
    changed = differences(
        folder.record["settings"]["backbone"], json.loads(json.dumps(dict(backbone.describe())))
    )
    if changed:
        listed = "\n  ".join(changed)
        raise CheckpointError(
            f"The features in {folder.root} were made by another backbone or head (stored ->"
            f" given):\n  {listed}\nRun `primaps proposals` with these into another --out first, or"
            " fit with what was stored."
        )


def _changed_config(folder: RunFolder, changes: Mapping[str, Any]) -> Config:
    """The settings on record with changes of ``num_clusters``, ``seed`` and fields of the fit."""
    config = from_record(folder.record["config"])
    top = {key: value for key, value in changes.items() if key in {"num_clusters", "seed"}}
    inner = {key: value for key, value in changes.items() if key not in top}
    fit = _changed_fit(folder, config, top.get("num_clusters", config.num_clusters), inner)
    return dataclasses.replace(config, **top, fit=fit)


def _changed_fit(
    folder: RunFolder, config: Config, clusters: int | None, changes: Mapping[str, Any]
) -> FitConfig:
    """The fit on record with changes. What does not go with them starts as the preset says, unless
    they say how.

    The centres of a head come in a number of their own, and methods may start in different ways.
    """
    fit = config.fit
    from_head = fit.initialise == "head"
    unfit = (
        clusters != config.num_clusters
        if from_head
        else changes.get("method", fit.method) != fit.method
    )
    auto = clusters is None and config.num_clusters is not None
    if (unfit or auto) and "initialise" not in changes:
        backbone = str(folder.record["settings"]["backbone"]["name"])
        start = (
            preset_for(config.preset, backbone, auto=clusters is None).fit.initialise
            if folder.generation == GENERATION
            else "pca"
        )
        fit = dataclasses.replace(fit, initialise=start).with_method(
            changes.get("method", fit.method)
        )
    fit = dataclasses.replace(fit, **changes)
    if "initialise" in changes:
        fit.check_start()
    return fit


def _may_exist(given: str | Path) -> bool:
    try:
        Path(given).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return any(character in str(given) for character in "*?[")
    except (OSError, ValueError):
        return True  # no permission, an impossible name, ...: the scan says what is wrong
    return True


def _same_folder(given: str | Path, root: Path) -> bool:
    try:
        return root.is_dir() and root.samefile(given)
    except (OSError, ValueError):
        return False
