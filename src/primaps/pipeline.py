"""The corridor that joins the stages: one resumable function per stage, and `segment`, which runs them in order.

Whatever a stage has finished for an image lies on disk under a fingerprint of everything that determined it. A stage skips what
is current and makes the rest; a killed run therefore resumes, and ends with the same bytes as an undisturbed one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from primaps.config import Config, from_dict, to_dict
from primaps.data.reading import Photo, read_photo
from primaps.data.scanning import scan
from primaps.errors import CheckpointError, ConfigError, DatasetError, ImageError
from primaps.features.backbone import load_backbone
from primaps.features.views import make_views
from primaps.model import Model
from primaps.outputs.label_files import read_png_info, write_label_map, write_proposals
from primaps.overview import write_run_report
from primaps.predict import image_features, label_map
from primaps.progress import Progress, Silent
from primaps.proposals.extract import enlarge_nearest, extract_proposals
from primaps.prototypes.fit import fit_prototypes
from primaps.run import Run, RunFolder, cached_views, read_failures
from primaps.store import FeatureStore, ShardInfo, fingerprint, read_json, read_tensors, release, write_json, write_tensors
from primaps.types import Failure, FeatureExtractor, Image, ImageFile, MaskProposals, View

PROPOSAL_STAGES = ("backbone", "features", "proposals")
ALL_STAGES = (*PROPOSAL_STAGES, "fit", "predict")

LONGEST_NAME = 255 - len(".safetensors")
"""Bytes of a file name, so that the names of its outputs fit the 255 bytes that file systems allow."""


def open_run(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    config: Config,
    *,
    stages: Sequence[str] = ALL_STAGES,
    weights: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Find the images and claim the run folder.

    Args:
        inputs: Files, folders (recursive) or glob patterns.
        out: The run folder; not scanned if it lies inside an input.
        backbone: The frozen feature extractor.
        config: All settings.
        stages: Whose settings must agree with what the folder holds.
        weights: Weights file the backbone was loaded from, for the record.
        overwrite: Redo what other settings made.
        progress: Who is told.

    Raises:
        ConfigError: If no input exists, the folder is an input, or it was made with other settings.
        DatasetError: If there is no image.
        OutputError: If the folder cannot be written, or another process is at work in it.
    """
    folder = RunFolder(Path(out))
    for given in inputs:
        if _same_folder(given, folder.root):
            raise ConfigError(f"Expected --out to be another folder than the images', but both are {str(given)!r}.")
    if not any(_may_exist(given) for given in inputs):
        raise ConfigError(f"Expected files, folders or patterns that exist, but found nothing at {', '.join(map(str, inputs))}.")
    found = scan(inputs, exclude=folder.root)
    too_long = [image for image in found.images if len(os.fsencode(Path(image.name).name)) > LONGEST_NAME]
    failures = [*found.failures, *(_name_too_long(image) for image in too_long)]
    images = tuple(image for image in found.images if image not in too_long)
    weights = None if weights is None else str(Path(weights).absolute())
    run = Run(folder, backbone, config, images, weights, progress or Silent(), failures)
    if found.passed_over:
        listed = ", ".join(
            f"{count} {extension or 'without extension'}" for extension, count in sorted(found.passed_over.items())
        )
        run.progress.note(f"Passed over, no images by name: {listed}.")
    if not images:
        raise DatasetError(_all_failed(failures))
    settings = run.settings()
    folder.record |= {"config": to_dict(config), "weights": weights}
    folder.claim({stage: settings[stage] for stage in stages}, overwrite=overwrite)
    return run


def reopen(root: Path, fit_changes: Mapping[str, Any], *, device: str = "auto", progress: Progress | None = None) -> Run:
    """Open a run folder for another fit or report on what it has stored, without scanning the inputs again.

    Args:
        root: The run folder.
        fit_changes: New values for ``num_clusters``, ``seed`` and fields of `FitConfig`.
        device: Where the fit runs.
        progress: Who is told.

    Raises:
        CheckpointError: If the folder holds no run with stored proposals.
        BackboneError: If the backbone's weights cannot be had.
    """
    folder = RunFolder(root)
    manifest_file = folder.store / "manifest.json"
    if "config" not in folder.record or not manifest_file.exists():
        raise CheckpointError(
            f"Expected {root} to hold a run (run.json and stored proposals), but it does not. "
            "Run `primaps segment` or `primaps proposals` with this folder as --out first."
        )
    manifest = read_json(manifest_file)
    config = from_dict(folder.record["config"])
    top = {key: value for key, value in fit_changes.items() if key in {"num_clusters", "seed"}}
    inner = {key: value for key, value in fit_changes.items() if key not in top}
    config = dataclasses.replace(config, **top, fit=dataclasses.replace(config.fit, **inner))
    weights = folder.record["weights"]
    backbone = load_backbone(folder.record["settings"]["backbone"]["name"], weights=weights, device=device)
    images = tuple(ImageFile(Path(os.fsdecode(entry["path"])), name) for name, entry in manifest["images"].items())
    return Run(folder, backbone, config, images, weights, progress or Silent())


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


def _name_too_long(image: ImageFile) -> Failure:
    length = len(os.fsencode(Path(image.name).name))
    reason = (
        f"Expected a file name of at most {LONGEST_NAME} bytes, since outputs are named after it, but got {length}. Shorten it."
    )
    return Failure(str(image.path), "scan", reason)


@contextlib.contextmanager
def finishing(run: Run, command: str, inputs: Sequence[str]) -> Iterator[None]:
    """Record a command in the run folder when it is done, and leave the folder to others in any case.

    Raises:
        OutputError: If the record cannot be written.
    """
    try:
        yield
        run.folder.finish(command, inputs, run.seconds, run.counts, run.failures)
    finally:
        release(run.folder.root)


def segment(run: Run, *, command: str = "segment", inputs: Sequence[str] = ()) -> None:
    """The main job: proposals, prototypes, label maps, report. Resumable.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, command, inputs):
        extract(run)
        model = fit(run)
        predict_stored(run, model)
        write_run_report(run, model, inputs)


def proposals(run: Run, *, inputs: Sequence[str] = ()) -> None:
    """The proposals stage alone.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    with finishing(run, "proposals", inputs):
        extract(run)


def fit_again(run: Run, model_folder: Path | None, *, overwrite: bool = False) -> Model:
    """Fit prototypes to what a run has stored.

    Args:
        run: From `reopen`.
        model_folder: Where the model goes; None = the run's own, whose settings must then agree.
        overwrite: Replace a model that was fitted with other settings.

    Raises:
        ConfigError: If the run's own model was fitted with other settings.
        OutputError: If the model cannot be written.
    """
    if model_folder is None:
        run.failures += read_failures(run.folder)  # a fit does not mend them
        run.folder.record["config"] = to_dict(run.config)
        run.folder.claim({"fit": run.settings()["fit"]}, overwrite=overwrite)
        with finishing(run, "fit", run.folder.record.get("inputs", ())):
            return fit(run)
    return fit(run, model_folder)


def report_again(run: Run) -> None:
    """Write the report of a finished run anew.

    Raises:
        CheckpointError: If there is no model yet.
        OutputError: If it cannot be written.
    """
    run.failures += read_failures(run.folder)
    run.counts |= run.folder.record.get("counts", {})
    run.seconds |= run.folder.record.get("seconds", {})
    write_run_report(run, Model.load(run.folder.model), run.folder.record.get("inputs", ()))


def predict_images(
    inputs: Sequence[str | Path],
    out: str | Path,
    backbone: FeatureExtractor,
    model: Model,
    config: Config,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Label maps of images that the prototypes were not fitted to.

    Raises:
        ConfigError: If no input exists, or ``out`` was made with other settings.
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    run = open_run(
        inputs,
        out,
        backbone,
        config,
        stages=("backbone", "predict"),
        weights=model.weights,
        overwrite=overwrite,
        progress=progress,
    )
    with finishing(run, "predict", [str(given) for given in inputs]):
        predict_new(run, model)
    return run


# ---- images -> features, proposals -----------------------------------------------------------------------------------------


def extract(run: Run) -> None:
    """Features and mask proposals of every image, into the store and as 16-bit PNG.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    store = run.store
    missing = [image for image in run.images if not _extracted(run, store, image)]
    _announce_disk_use(run, len(missing))
    with run.stage("proposals", len(missing)):
        for image in missing:
            with _reported(run, image, "proposals"):
                _extract_one(run, store, image)
            run.progress.advance()
    usable = run.usable_images()
    if not usable:
        run.folder.write_failures(run.failures)
        raise DatasetError(_all_failed(run.failures))
    infos = [store.info(image.name) for image in usable]
    run.counts |= _proposal_statistics([info for info in infos if info is not None])
    run.counts |= {"images": len(usable), "proposals_made": len(missing), "proposals_reused": len(run.images) - len(missing)}
    _write_manifest(run, usable, store)


def _extracted(run: Run, store: FeatureStore, image: ImageFile) -> bool:
    return run.folder.proposals(image.name).exists() and store.is_current(image.name, image.path)


def _extract_one(run: Run, store: FeatureStore, image: ImageFile) -> None:
    status = image.path.stat()
    photo = read_photo(image.path, run.config.predict.max_pixels)
    features, proposals = features_and_proposals(photo, run.backbone, run.config, store.views, run.threshold)
    info = ShardInfo(
        settings=store.settings,
        sha256=photo.sha256,
        file_size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        height=photo.height,
        width=photo.width,
        num_masks=proposals.num_masks,
        coverage=proposals.coverage,
        scores=tuple(float(score) for score in proposals.scores),
        guards=proposals.guards,
    )
    smallest = np.uint8 if proposals.num_masks < 256 else np.int32  # four times less memory for a large photograph
    at_own_size = enlarge_nearest(torch.from_numpy(proposals.label_image.astype(smallest)), photo.height, photo.width).numpy()
    write_proposals(run.folder.proposals(image.name), at_own_size, {"image": photo.sha256, "settings": store.settings})
    store.write(image.name, features, proposals, info)  # last: its presence says that the image is done


def features_and_proposals(
    photo: Photo, backbone: FeatureExtractor, config: Config, views: Sequence[View], threshold: float
) -> tuple[torch.Tensor, MaskProposals]:
    """Features of all views, (V, C, h, w), and the proposals of the plain one at the backbone's input size.

    The photometric draws depend on the photograph alone, not on its neighbours, the seed of the fit, or the order.
    """
    plain = backbone.preprocess(photo.image, config.features.size)
    seed = int(hashlib.sha256(photo.sha256.encode("ascii")).hexdigest()[:12], 16)
    batch = make_views(plain, views, seed, clamp_jitter=config.features.clamp_jitter, mean=backbone.mean, std=backbone.std)
    features = torch.cat([backbone.forward(view[None]) for view in batch])
    resized = _as_image(plain, backbone)
    proposals = extract_proposals(resized, features[0], threshold, config.proposals, config.predict.max_pixels)
    return features, proposals


def _as_image(batch: torch.Tensor, backbone: FeatureExtractor) -> Image:
    """The (H', W', 3) uint8 image behind a (1, 3, H', W') normalised input."""
    mean, std = (torch.tensor(values, device=batch.device)[:, None, None] for values in (backbone.mean, backbone.std))
    levels = ((batch[0] * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    image: Image = levels.permute(1, 2, 0).contiguous().cpu().numpy()
    return image


@contextlib.contextmanager
def _reported(run: Run, image: ImageFile, stage: str) -> Iterator[None]:
    """One bad image among many is reported and skipped. What concerns the whole run (a full disk, a bug) still ends it."""
    try:
        yield
    except ImageError as error:
        run.failures.append(Failure(str(image.path), "read", str(error)))
    except OSError as error:  # gone since it was found
        reason = f"Expected a file that can be read, but got: {error}. Copy it again or leave it out."
        run.failures.append(Failure(str(image.path), "read", reason))
    except (MemoryError, RuntimeError) as error:
        # torch reports a failed allocation on the CPU as a plain RuntimeError.
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        reason = f"Not enough memory for this image ({error}). Reduce --size or --max-pixels."
        run.failures.append(Failure(str(image.path), stage, reason))


def _all_failed(failures: Sequence[Failure]) -> str:
    shown = "\n  ".join(f"{failure.path}: {failure.reason}" for failure in failures[:5])
    more = f"\n  ... and {len(failures) - 5} more" if len(failures) > 5 else ""
    return f"Expected at least one usable image, but all {len(failures)} inputs failed:\n  {shown}{more}"


def _announce_disk_use(run: Run, missing: int) -> None:
    """Say before the long part starts how much disk it takes (a 4:3 photograph is assumed)."""
    if not missing:
        return
    side = run.config.features.size / run.backbone.patch_size
    per_image = len(cached_views(run.config)) * run.backbone.dim * side * side * 4 / 3 * 2 + 150_000
    free = shutil.disk_usage(run.folder.root).free
    needed = missing * per_image
    run.progress.note(
        f"{missing} images to do; about {needed / 1e9:.2g} GB in {run.folder.root} ({free / 1e9:.3g} GB free there)."
        + (" That may not be enough." if needed > free else "")
    )


def _proposal_statistics(infos: Sequence[ShardInfo]) -> dict[str, Any]:
    numbers = np.array([info.num_masks for info in infos])
    coverage = np.array([info.coverage for info in infos])
    guards: dict[str, int] = {}
    for info in infos:
        for guard in set(info.guards):
            guards[guard] = guards.get(guard, 0) + 1
    return {
        "proposals_per_image": {
            "min": int(numbers.min()),
            "median": float(np.median(numbers)),
            "mean": round(float(numbers.mean()), 3),
            "max": int(numbers.max()),
        },
        "images_without_proposal": int((numbers == 0).sum()),
        "coverage": {"min": round(float(coverage.min()), 4), "mean": round(float(coverage.mean()), 4)},
        "images_with_guard": guards,
    }


def _write_manifest(run: Run, usable: Sequence[ImageFile], store: FeatureStore) -> None:
    """A readable list of what the store holds."""
    entries = {}
    for image in usable:
        info = store.info(image.name)
        if info is not None:
            entries[image.name] = {
                "path": str(image.path.absolute()),
                "height": info.height,
                "width": info.width,
                "num_masks": info.num_masks,
                "coverage": round(info.coverage, 4),
                "guards": list(info.guards),
            }
    views = [dataclasses.asdict(view) for view in store.views]
    write_json(run.folder.store / "manifest.json", {"settings": store.settings, "views": views, "images": entries})


# ---- features, proposals -> prototypes -------------------------------------------------------------------------------------


def fit(run: Run, model_folder: Path | None = None) -> Model:
    """Fit prototypes to the stored features and proposals, or load them if they are current.

    Args:
        run: The run; its proposals stage is done.
        model_folder: Where the model goes; None = the run's own.

    Raises:
        DatasetError: If the store holds no image.
        OutputError: If the model cannot be written.
    """
    folder = run.folder.model if model_folder is None else model_folder
    images = run.usable_images()
    if not images:
        raise DatasetError(f"Expected stored features in {run.folder.store}, but found none. Run `primaps proposals` first.")
    identity = fit_fingerprint(run, images)
    steps = run.config.fit.main_steps(len(images))
    with run.stage("fit", steps):
        model = _current_model(run, folder, identity)
        if model is None:
            model = _fit(run, folder, images, identity)
    dead = model.fit.dead_clusters
    run.counts |= {"clusters": model.num_clusters, "dead_clusters": list(dead), "fit_steps": len(model.fit.losses)}
    if dead:
        run.progress.note(
            f"{len(dead)} of {model.num_clusters} classes own no part of any image (ids {', '.join(map(str, dead))}). "
            "Fewer --classes may describe these photographs better."
        )
    return model


def fit_fingerprint(run: Run, images: Sequence[ImageFile]) -> str:
    """Changes when any photograph or setting that determines the prototypes changes."""
    store = run.store
    contents = [[image.name, info.sha256] for image in images if (info := store.info(image.name)) is not None]
    return fingerprint([store.settings, run.settings()["fit"], contents])


def _current_model(run: Run, folder: Path, identity: str) -> Model | None:
    if not (folder / "model.json").exists():
        return None
    try:
        model = Model.load(folder)
    except CheckpointError as error:
        run.progress.note(f"The stored model is of no use and is fitted anew: {error}")
        return None
    return model if model.fingerprint == identity else None


def _fit(run: Run, folder: Path, images: Sequence[ImageFile], identity: str) -> Model:
    checkpoint = _DiskCheckpoint(folder / "checkpoint.safetensors", identity, run.progress.note)
    source = run.store.source([image.name for image in images])
    phases: list[str] = []

    def progress(phase: str, step: int, total: int) -> None:
        if phase not in phases:
            phases.append(phase)
            run.progress.start(f"fit: {phase}", total)
            run.progress.advance(step)
            return
        run.progress.advance()

    result = fit_prototypes(
        source,
        run.config.num_clusters,
        run.config.fit,
        seed=run.config.seed,
        device=run.backbone.device,
        checkpoint=checkpoint,
        progress=progress,
    )
    settings: Mapping[str, Any] = {**run.settings()["fit"], "preset": run.config.preset, "images": len(images)}
    model = Model(result, run.backbone.describe(), run.weights, run.config.features.size, settings, identity)
    model.save(folder)
    checkpoint.path.unlink(missing_ok=True)
    return model


class _DiskCheckpoint:
    """The state of an unfinished fit, on disk; ignored when it belongs to another fit."""

    def __init__(self, path: Path, identity: str, note: Callable[[str], None]) -> None:
        self.path = path
        self.note = note
        self.identity = torch.frombuffer(bytearray(identity.encode("ascii")), dtype=torch.uint8)

    def load(self) -> dict[str, torch.Tensor] | None:
        if not self.path.exists():
            return None
        try:
            state = read_tensors(self.path)
        except CheckpointError as error:
            self.note(f"The unfinished fit is of no use and starts anew: {error}")
            return None
        identity = state.pop("identity", None)
        return state if identity is not None and torch.equal(identity, self.identity) else None

    def save(self, state: dict[str, torch.Tensor]) -> None:
        write_tensors(self.path, {**state, "identity": self.identity})


# ---- prototypes -> label maps ----------------------------------------------------------------------------------------------


def predict_stored(run: Run, model: Model) -> None:
    """Label maps of the images whose features are stored, as 8-bit PNG at the images' own size.

    Raises:
        DatasetError: If no label map could be made.
        OutputError: If something cannot be written.
    """
    store, images = run.store, run.usable_images()
    wanted = {"model": model.fingerprint, "settings": fingerprint(run.settings()["predict"])}
    missing = [image for image in images if not _labelled(run, store, image, wanted)]
    with run.stage("label maps", len(missing)):
        for image in missing:
            info = store.info(image.name)
            with _reported(run, image, "predict"):
                if info is not None:
                    features = store.features(image.name, View()).float().to(run.backbone.device)
                    crf_image = read_photo(image.path, run.config.predict.max_pixels).image if run.config.predict.crf else None
                    labels = label_map(features, model, (info.height, info.width), run.config.predict, crf_image)
                    _write_labels(run, image, labels, {**wanted, "image": info.sha256})
            run.progress.advance()
    run.counts |= {"label_maps_made": len(missing), "label_maps_reused": len(images) - len(missing)}


def predict_new(run: Run, model: Model) -> None:
    """Label maps of images that the prototypes were not fitted to: backbone, prototypes, CRF; nothing is stored besides.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    wanted = {"model": model.fingerprint, "settings": fingerprint(run.settings()["predict"])}
    done = 0
    with run.stage("label maps", len(run.images)):
        for image in run.images:
            with _reported(run, image, "predict"):
                photo = read_photo(image.path, run.config.predict.max_pixels)
                present = {**wanted, "image": photo.sha256}
                if not _holds(read_png_info(run.folder.labels(image.name)), present):
                    features = image_features(run.backbone, photo.image, model.size)
                    labels = label_map(features, model, (photo.height, photo.width), run.config.predict, photo.image)
                    _write_labels(run, image, labels, present)
                done += 1
            run.progress.advance()
    run.counts |= {"label_maps": done}
    if not done:
        run.folder.write_failures(run.failures)
        raise DatasetError(_all_failed(run.failures))


def _labelled(run: Run, store: FeatureStore, image: ImageFile, wanted: Mapping[str, str]) -> bool:
    info = store.info(image.name)
    return info is not None and _holds(read_png_info(run.folder.labels(image.name)), {**wanted, "image": info.sha256})


def _holds(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _write_labels(run: Run, image: ImageFile, labels: Image, stamp: Mapping[str, str]) -> None:
    """The pixel counts travel in the header, so that a resumed run need not decode finished label maps."""
    counts = np.zeros(256, dtype=np.int64)
    for row in labels:  # bincount makes 8 bytes of each pixel
        counts += np.bincount(row, minlength=256)
    pixels = {str(cluster): int(count) for cluster, count in enumerate(counts) if count}
    write_label_map(run.folder.labels(image.name), labels, {**stamp, "pixels": json.dumps(pixels)})
