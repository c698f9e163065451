"""The second stage: stored features and proposals to prototypes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from primaps.compute.compiling.announcing import compilation_told_to
from primaps.compute.processes import Place, in_processes
from primaps.config import Config, FitConfig
from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.features.device import compute_device
from primaps.heads.extractor import head_centres, head_path
from primaps.pipeline.damaged_store import make_damaged_anew
from primaps.pipeline.live import LiveFit
from primaps.pipeline.number_of_classes import lower_number, settle_number
from primaps.pipeline.trees import keep_tree
from primaps.progress import Progress
from primaps.prototypes.loop.fit import fit_prototypes
from primaps.prototypes.loop.state import Snapshot, snapshot
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import fingerprint, read_tensors, remove_file, write_tensors
from primaps.types import FeatureSource, FitResult, ImageFile

FIT_ALGORITHM = 3
"""Raised when a change of the code changes prototypes, so that stored ones, and fits half done, are
made anew.
"""


def fit(
    run: Run, model_folder: Path | None = None, *, events: Path | None = None, processes: int = 1
) -> Model:
    """Fit prototypes to the stored features and proposals, or load them if they are current.

    Where no number of classes is given, one is proposed first; if then classes own nothing, it is
    fitted with fewer. The prototypes of every checkpoint of the main phase are kept beside the
    model, see `read_snapshots`.

    Args:
        run: The run; its proposals stage is done.
        model_folder: Where the model goes; None = the run's own.
        events: Where TensorBoard events go while the fit runs; None = nowhere.
        processes: How many divide the images of every batch between them, on the CPU or on one GPU
            each.

    Raises:
        DatasetError: If the store holds no image.
        OutputError: If the model or events cannot be written.
        ConfigError: If so many processes cannot be had.
        MissingExtraError: If events are wanted and tensorboard is not installed, or processes and
            Lightning Fabric is not.
        ProcessError: If one of them was ended from outside.
    """
    folder = run.folder.model if model_folder is None else model_folder
    images = run.usable_images()
    if not images:
        raise DatasetError(
            f"Expected stored features in {run.folder.store}, but found none. Run `primaps"
            " proposals` first."
        )
    settle_number(run, images, recorded=model_folder is None)
    model = _fit_unless_current(run, folder, images, events, processes)
    while lower_number(run, model.fit.dead_clusters, recorded=model_folder is None):
        model = _fit_unless_current(run, folder, images, events, processes)
    keep_tree(model, folder)
    run.counts |= {
        "clusters": model.num_clusters,
        "dead_clusters": list(model.fit.dead_clusters),
        "fit_steps": len(model.fit.losses),
    }
    return model


def _fit_unless_current(
    run: Run, folder: Path, images: Sequence[ImageFile], events: Path | None, processes: int
) -> Model:
    identity = fit_fingerprint(run, images)
    model = _current_model(run, folder, identity)
    with run.stage("fit", run.config.fit.main_steps(len(images)) if model is None else 0):
        if model is None:
            make_damaged_anew(run, images)
            model = _fit(run, folder, images, identity, events, processes)
        # the model was just saved, or a fit was killed right after it had saved it
        remove_file(_checkpoint_file(folder))
        return model.note_predict(run.config.predict, folder, run.config.inputs)


def fit_fingerprint(run: Run, images: Sequence[ImageFile]) -> str:
    """Changes when any photograph, setting or algorithm that determines the prototypes changes."""
    store = run.store
    contents = [
        [image.name, info.sha256]
        for image in images
        if (info := store.info(image.name)) is not None
    ]
    measured = [list(each) for each in run.config.inputs.ranges]
    made_from = [FIT_ALGORITHM, store.settings, run.settings()["fit"], contents]
    return fingerprint([*made_from, measured] if measured else made_from)


def fit_settings(run: Run, num_images: int) -> dict[str, Any]:
    """What is written beside a model about how it was fitted."""
    distance = run.config.fit.snapshot_distance
    return {
        **run.settings()["fit"],
        "preset": run.config.preset,
        "images": num_images,
        "snapshot_distance": distance,
    }


def snapshot_distance(settings: Mapping[str, Any]) -> int:
    """Steps between two snapshots of a model, from its settings; earlier versions named it as the
    distance of checkpoints.
    """
    return int(settings.get("snapshot_distance", settings["checkpoint_every"]))


def _current_model(run: Run, folder: Path, identity: str) -> Model | None:
    if not (folder / "model.json").exists():
        return None
    try:
        model = Model.load(folder)
    except CheckpointError as error:
        run.progress.note(f"The stored model is of no use and is fitted anew: {error}")
        return None
    if model.settings.get("names", {}).get("of") == identity:
        run.progress.note(
            f"{folder} was fitted with names and is kept. To have the former model: primaps accept"
            f" {run.folder.root} --back"
        )
        return model
    return model if model.fingerprint == identity else None


def is_fitted(run: Run, folder: Path) -> bool:
    """Whether a folder holds the model that `fit` would make of what is known of the images."""
    if run.config.num_clusters is None and run.chosen_number is None:
        return False
    try:
        model = Model.load(folder)
    except CheckpointError:
        return False
    identity = fit_fingerprint(run, run.usable_images())
    return identity in {model.fingerprint, model.settings.get("names", {}).get("of")}


def read_snapshots(model: Model, folder: Path) -> list[Snapshot]:
    """The snapshots that were kept while a model was fitted, and last the model's own prototypes.

    Args:
        model: The fitted model.
        folder: Its folder.

    Raises:
        CheckpointError: If one is missing, damaged, or belongs to another fit.
    """
    identity = encoded(model.fingerprint)
    found = [
        _read_snapshot(_snapshot_file(folder, step), step, identity) for step in _kept_steps(model)
    ]
    return [*found, _last_snapshot(model)]


def drawn_snapshots(model: Model, folder: Path, note: Callable[[str], None]) -> list[Snapshot]:
    """As `read_snapshots`, for pictures only: snapshots that cannot be read are told to ``note``
    and left out.
    """
    return [
        *_readable(folder, _kept_steps(model), encoded(model.fingerprint), note),
        _last_snapshot(model),
    ]


def _kept_steps(model: Model) -> range:
    distance = snapshot_distance(model.settings)
    return range(distance, len(model.fit.losses), distance)


def _last_snapshot(model: Model) -> Snapshot:
    return Snapshot(len(model.fit.losses), model.fit.teacher, model.fit.student)


def _readable(
    folder: Path, steps: range, identity: torch.Tensor, note: Callable[[str], None]
) -> list[Snapshot]:
    found, problems = [], []
    for step in steps:
        try:
            found.append(_read_snapshot(_snapshot_file(folder, step), step, identity))
        except CheckpointError as error:
            problems.append(error)
    if problems:
        note(
            f"{len(problems)} of {len(steps)} snapshots of the fit are not drawn. The first:"
            f" {problems[0]}"
        )
    return found


def _read_snapshot(path: Path, step: int, identity: torch.Tensor) -> Snapshot:
    tensors = read_tensors(path)
    known = tensors.get("identity")
    if known is None or not torch.equal(known, identity):
        raise CheckpointError(
            f"Expected {path} to belong to the fit that it lies beside, but it does not. Delete"
            f" {path.parents[1]} to fit anew."
        )
    return Snapshot(step, tensors["teacher"], tensors["student"])


def snapshot_folder(folder: Path) -> Path:
    """Where the snapshots of a model lie; models of earlier versions and imported ones have
    none.
    """
    return folder / "snapshots"


def _snapshot_file(folder: Path, step: int) -> Path:
    return snapshot_folder(folder) / f"step-{step:07d}.safetensors"


def _checkpoint_file(folder: Path) -> Path:
    return folder / "checkpoint.safetensors"


def encoded(identity: str) -> torch.Tensor:
    """A fingerprint as a tensor, to stand among the tensors that it belongs to."""
    return torch.frombuffer(bytearray(identity.encode("ascii")), dtype=torch.uint8)


def _fit(
    run: Run,
    folder: Path,
    images: Sequence[ImageFile],
    identity: str,
    events: Path | None,
    processes: int,
) -> Model:
    used = min(processes, run.config.fit.batch_size, len(images))
    if used < processes:
        run.progress.note(
            f"{used} of {processes} processes are used: no more than there are images in a batch."
        )
    backbone, config = run.backbone, run.config
    result = in_processes(
        used,
        compute_device(backbone.device),
        run.progress,
        _fit_here,
        source=run.store.source([image.name for image in images]),
        num_clusters=run.num_clusters,
        config=config,
        initial=initial_prototypes(run),
        folder=folder,
        identity=identity,
        live=None if events is None else LiveFit(events, run, images),
    )
    settings = fit_settings(run, len(images))
    model = Model(
        result,
        backbone.describe(),
        backbone.weights_path,
        config.features.size,
        settings,
        identity,
        head_path(backbone),
        config.predict,
        config.features.max_enlargement,
        config.inputs,
    )
    model.save(folder)
    return model


def _fit_here(
    place: Place,
    *,
    source: FeatureSource,
    num_clusters: int,
    config: Config,
    initial: torch.Tensor | None,
    folder: Path,
    identity: str,
    live: LiveFit | None,
) -> FitResult:
    """What every process does; process 0 keeps the state, tells its progress and shows it live."""
    first = place.group.rank == 0
    shown = live if first else None
    with (
        compilation_told_to(place.progress.note),
        contextlib.nullcontext() if shown is None else shown,
    ):
        return fit_prototypes(
            source,
            num_clusters,
            config.fit,
            seed=config.seed,
            initial=initial,
            device=place.device,
            checkpoint=(
                _SnapshotKeeper(folder, identity, config.fit, place.progress.note, shown)
                if first
                else None
            ),
            progress=_phases(place.progress) if first else None,
            watch=None if shown is None else shown.step,
            group=place.group,
        )


def _phases(progress: Progress) -> Callable[[str, int, int], None]:
    """Turns what a fit tells, phase by phase, into parts of the stage."""
    phase, done = "", 0

    def tell(present: str, step: int, total: int) -> None:
        nonlocal phase, done
        if present != phase:
            progress.start(f"fit: {present}", total, step)
        elif step > done:
            progress.advance(step - done)
        phase, done = present, step

    return tell


def initial_prototypes(run: Run) -> torch.Tensor | None:
    """(K, D) float32 prototypes that the fit starts from; None = found by the fit itself.

    Raises:
        ConfigError: If they shall come from a head that has none, or not as many as there are
            classes.
    """
    if run.config.fit.initialise != "head":
        return None
    centres = head_centres(run.backbone)
    if centres is None:
        raise ConfigError(
            "Expected a head with cluster centres to start from, but there is none. Give --head"
            " DIR, or --init proposals."
        )
    wanted = run.config.num_clusters
    if len(centres) != wanted:
        raise ConfigError(
            f"Expected as many classes as the head has cluster centres, {len(centres)}, but got"
            f" {'auto' if wanted is None else wanted}. Give --classes {len(centres)}, or --init"
            " proposals."
        )
    return centres


class DiskCheckpoint:
    """The state of an unfinished fit, on disk; ignored when it belongs to another fit."""

    def __init__(self, path: Path, identity: str, note: Callable[[str], None]) -> None:
        self.path = path
        self.note = note
        self.identity = encoded(identity)

    def load(self) -> dict[str, torch.Tensor] | None:
        """The saved state of this fit, or None."""
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
        """Replace the saved state."""
        write_tensors(self.path, {**state, "identity": self.identity})


class _SnapshotKeeper(DiskCheckpoint):
    """Keeps the prototypes of every state that it is given, before the state itself: a resumed fit
    misses none.
    """

    def __init__(
        self,
        folder: Path,
        identity: str,
        config: FitConfig,
        note: Callable[[str], None],
        live: LiveFit | None = None,
    ) -> None:
        super().__init__(_checkpoint_file(folder), identity, note)
        self.folder = folder
        self.config = config
        self.live = live

    def load(self) -> dict[str, torch.Tensor] | None:
        state = super().load()
        if state is None:  # the fit starts: snapshots are those of another one
            for path in snapshot_folder(self.folder).glob("step-*.safetensors"):
                remove_file(path)
        if self.live is not None:
            present = None if state is None else snapshot(state, self.config)
            known = [] if present is None else self._kept_until(present.step)
            self.live.begin(
                known, [] if state is None or present is None else state["losses"].tolist()
            )
        return state

    def _kept_until(self, step: int) -> list[Snapshot]:
        """The snapshots of the fit that goes on, as far as they can be drawn; a later one than its
        state is made again.
        """
        steps = range(self.config.snapshot_distance, step + 1, self.config.snapshot_distance)
        return _readable(self.folder, steps, self.identity, self.note)

    def save(self, state: dict[str, torch.Tensor]) -> None:
        kept = snapshot(state, self.config)
        if kept is not None and kept.step % self.config.snapshot_distance:
            kept = None  # of a fit that was stopped here: one that was not keeps none either
        if kept is not None:
            tensors = {
                "teacher": kept.teacher.clone(),
                "student": kept.student.clone(),
                "identity": self.identity,
            }
            write_tensors(_snapshot_file(self.folder, kept.step), tensors)
        super().save(state)
        if kept is not None and self.live is not None:
            self.live.keep(kept)
