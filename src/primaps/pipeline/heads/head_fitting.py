"""Train a head on photographs: crops and their features, neighbours, the training itself, and the
head's folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from primaps.config import Config, FeatureConfig
from primaps.errors import CheckpointError, ConfigError
from primaps.heads.attention import has_attention
from primaps.heads.crops import CropConfig
from primaps.heads.extractor import BackboneWithHead
from primaps.heads.files import Head, HeadKind, load_head, save_head
from primaps.heads.hp import HPTask
from primaps.heads.neighbours import nearest_neighbours
from primaps.heads.scaling import ScaledCrops, unit_scale
from primaps.heads.settings import HPConfig, StegoConfig
from primaps.heads.stego import StegoTask
from primaps.heads.training import train_head
from primaps.pipeline.commands import finishing
from primaps.pipeline.fitting import DiskCheckpoint, encoded
from primaps.pipeline.heads.head_centres import cluster_usage, refit_centres
from primaps.pipeline.heads.head_crops import CropNeeds, PreparedCrops
from primaps.pipeline.opening import claim, find_images
from primaps.progress import Progress
from primaps.runs.model import Model
from primaps.runs.run import ALGORITHM, Run, RunFolder
from primaps.runs.store import fingerprint, read_tensors, remove_file, write_json, write_tensors
from primaps.types import FeatureExtractor, FitResult

STORED_NEIGHBOURS = 30
"""Nearest neighbours that are found and kept of every crop, as in the official code."""
_MARKS: Final = ("head.json", "model.json")  # without them the folder holds neither head nor model


@dataclass(frozen=True)
class HeadJob:
    """What is trained on what.

    Attributes:
        inputs: Image files, folders or patterns.
        out: Folder of the head.
        backbone: Frozen.
        config: Settings of the training; their type says which kind of head.
        num_clusters: K.
        seed: Of everything random.
        cache: Keep features on disk.
    """

    inputs: Sequence[str | Path]
    out: Path
    backbone: FeatureExtractor
    config: StegoConfig | HPConfig
    num_clusters: int
    seed: int = 0
    cache: bool = True

    @property
    def kind(self) -> HeadKind:
        """Which kind of head."""
        return "stego" if isinstance(self.config, StegoConfig) else "hp"

    def needs(self) -> CropNeeds:
        """What the training asks of every crop."""
        config = self.config
        if isinstance(config, StegoConfig):
            return CropNeeds(config.crops, cache=self.cache)
        views = config.photometric_views if config.consistency_weight else 0
        return CropNeeds(
            config.crops,
            local=True,
            views=views,
            clamp_jitter=config.clamp_jitter,
            cache=self.cache,
        )

    def settings(self) -> dict[str, Any]:
        """What identifies the training, for the record."""
        settings = dataclasses.asdict(self.config)
        del settings["checkpoint_every"]  # changes nothing
        return {
            "kind": self.kind,
            "num_clusters": self.num_clusters,
            "seed": self.seed,
            "cache": self.cache,
            **settings,
        }


def fit_head(job: HeadJob, *, overwrite: bool = False, progress: Progress | None = None) -> Run:
    """Train a head without labels, or find it trained. Resumable.

    Args:
        job: What is trained on what.
        overwrite: Replace a head that was trained with other settings.
        progress: Who is told.

    Returns:
        The run, with the inputs that could not be used.

    Raises:
        ConfigError: If no input exists, or ``out`` was made with other settings or holds a foreign
            head.
        DatasetError: If no image could be used, or there are too few.
        OutputError: If something cannot be written.
    """
    _refuse_foreign(job.out, overwrite=overwrite)
    side = job.config.crops.side(job.backbone.input_multiple)
    config = Config(num_clusters=job.num_clusters, seed=job.seed)
    config = dataclasses.replace(config, features=dataclasses.replace(config.features, size=side))
    run = find_images(job.inputs, job.out, job.backbone, config, progress=progress)
    claim(
        run, ("backbone",), overwrite=overwrite, further={"head": job.settings()}, outdated=_MARKS
    )
    with finishing(run, f"head {job.kind} fit", [str(given) for given in job.inputs]):
        crops = PreparedCrops(run, job.needs())
        contents = crops.prepare()
        identity = fingerprint([ALGORITHM, crops.settings, job.settings(), list(contents.items())])
        run.counts |= {"images": len(crops.images), "crops": len(crops)}
        head = _trained(job.out, identity)
        if head is None:
            _discard(job.out)
            _train(run, job, crops, identity)
        else:
            _complete(job, head, identity)
    return run


def _refuse_foreign(out: Path, *, overwrite: bool) -> None:
    trained_there = "head" in RunFolder(out).record.get("settings", {})
    if (out / "head.json").exists() and not trained_there and not overwrite:
        raise ConfigError(
            f"{out} holds a head that was not trained there. Choose another --out, or add"
            " --overwrite."
        )


def _trained(out: Path, identity: str) -> Head | None:
    """The head, if it is there, undamaged, and the one that was asked for."""
    try:
        head = load_head(out)
    except CheckpointError:
        return None  # absent or damaged: it is trained again
    usage = head.training.get("usage")
    complete = (
        head.centres is not None and isinstance(usage, list) and len(usage) == len(head.centres)
    )
    return head if complete and head.training.get("fingerprint") == identity else None


def _discard(out: Path) -> None:
    """What other settings or photographs gave must not be taken for the result of these, should the
    training be killed.
    """
    for name in _MARKS:
        remove_file(out / name)


def _complete(job: HeadJob, head: Head, identity: str) -> None:
    """Write the model of a trained head, unless it is there and undamaged."""
    usage = torch.tensor(head.training["usage"])
    try:
        model = Model.load(job.out)
    except CheckpointError:
        _save_model(job, head, usage, identity)
        return
    same = zip(
        (model.fit.teacher, model.fit.student, model.fit.usage),
        (head.centres, head.centres, usage),
        strict=True,
    )
    if model.fingerprint != identity or not all(
        torch.equal(found, wanted) for found, wanted in same if wanted is not None
    ):
        _save_model(job, head, usage, identity)


def _train(run: Run, job: HeadJob, crops: PreparedCrops, identity: str) -> None:
    config, scale = job.config, 1.0
    task: StegoTask | HPTask
    if isinstance(config, StegoConfig):
        neighbours = _neighbours(run, crops, identity)
        task = StegoTask(crops, neighbours, job.num_clusters, config, job.seed, crops.device)
    else:
        if not has_attention(job.backbone):
            run.progress.note(
                f"{job.backbone.name} has no attention to read: local hidden positives go by the"
                " similarity of its features."
            )
        scale = unit_scale(crops) if config.unit_scale else scale
        task = HPTask(ScaledCrops(crops, scale), job.num_clusters, config, job.seed, crops.device)
    steps = config.num_steps(len(crops))
    checkpoint = DiskCheckpoint(job.out / "checkpoint.safetensors", identity, run.progress.note)
    with run.stage(f"{job.kind} head", steps):
        history = train_head(
            task,
            steps,
            seed=job.seed,
            checkpoint=checkpoint,
            checkpoint_every=config.checkpoint_every,
            progress=_advance(run.progress, f"{job.kind} head", steps),
        )
    task.head.absorb_scale(scale)
    if config.refit_centres:
        refit_centres(task.head, task.clusters, crops, job.seed)
    usage = cluster_usage(task.head, task.clusters, crops)
    _note_dead(run, usage)
    training = {
        "settings": job.settings(),
        "images": len(crops.images),
        "crops": len(crops),
        "steps": steps,
        "usage": usage.tolist(),
        "mixing": (
            None
            if job.kind == "stego"
            else ("attention" if has_attention(job.backbone) else "self-similarity")
        ),
        "fingerprint": identity,
    }
    side = config.crops.side(job.backbone.input_multiple)
    head = Head(
        job.kind,
        task.head.cpu(),
        dict(job.backbone.describe()),
        side,
        task.clusters.centres.detach().cpu(),
        training=training,
    )
    losses = {name: [round(value, 6) for value in history[name]] for name in sorted(history)}
    write_json(job.out / "losses.json", losses)
    save_head(job.out, head)
    _save_model(job, head, usage, identity)
    remove_file(checkpoint.path)


def _save_model(job: HeadJob, head: Head, usage: Tensor, identity: str) -> None:
    """The head's own cluster centres as a model, so that the head by itself can predict and be
    measured.
    """
    if head.centres is None:
        raise CheckpointError("Expected a trained head to have cluster centres, but it has none.")
    extractor = BackboneWithHead(job.backbone, job.out)
    size = CropConfig(resolution=FeatureConfig().size).side(job.backbone.input_multiple)
    fit = FitResult(head.centres, head.centres.clone(), cosine=True, usage=usage)
    settings = {"preset": "default", "method": "baseline", **job.settings()}
    Model(
        fit,
        extractor.describe(),
        extractor.weights_path,
        size,
        settings,
        identity,
        extractor.head_path,
    ).save(job.out)


def _advance(progress: Progress, stage: str, total: int) -> Callable[[int], None]:
    """Turns numbers of steps that are done into progress; the first one is what an earlier run
    did.
    """
    before: int | None = None

    def report(done: int) -> None:
        nonlocal before
        if before is not None:
            progress.advance(done - before)
        elif done:
            progress.start(stage, total, done)
        before = done

    return report


def _neighbours(run: Run, crops: PreparedCrops, identity: str) -> Tensor:
    """Nearest neighbours of all crops, found once and stored."""
    path = run.folder.root / "neighbours.safetensors"
    key = fingerprint([identity, STORED_NEIGHBOURS])
    mark = encoded(key)
    if path.exists():
        try:
            stored = read_tensors(path)
        except CheckpointError as error:
            run.progress.note(f"The stored neighbours are of no use and are found anew: {error}")
        else:
            if {"key", "neighbours"} <= stored.keys() and torch.equal(stored["key"], mark):
                return stored["neighbours"].long()
    neighbours = nearest_neighbours(crops.descriptors().to(crops.device), STORED_NEIGHBOURS)
    write_tensors(path, {"neighbours": neighbours.int(), "key": mark})
    return neighbours


def _note_dead(run: Run, usage: Tensor) -> None:
    dead = (usage == 0).nonzero().flatten().tolist()
    run.counts |= {"clusters": len(usage), "dead_clusters": dead}
    if dead:
        listed = ", ".join(map(str, dead))
        run.progress.note(
            f"{len(dead)} of {len(usage)} cluster centres own no part of the crops (ids {listed})."
        )
