"""Official checkpoints to our own files: heads of STEGO and HP, and models of PriMaPs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from torch.nn import functional as F

from primaps.config import MAX_CLASSES, MIN_CLASSES, did_you_mean
from primaps.errors import BackboneError, CheckpointError, ConfigError
from primaps.features.weights import file_sha256, guess_model, matching_backbones
from primaps.heads.extractor import head_path
from primaps.heads.files import Head, head_record, save_head
from primaps.heads.loading import backbone_name, load_backbone
from primaps.heads.official import CHECKPOINT_KINDS, OfficialHead, OfficialModel, read_official
from primaps.pipeline.replacing import replacing
from primaps.runs.model import Model, relative_to
from primaps.runs.store import fingerprint, write_tensors
from primaps.types import FeatureExtractor, FitResult

WEIGHTS_NAME: Final = "backbone.safetensors"
TRAINED_AT: Final = 224
"""Short side of the crops that STEGO and HP are trained on."""
# in the header of all tensors that are written here
_MADE_BY: Final = {"made_by": "primaps head import"}
# in this order, signs after tensors
_OURS: Final = ("head.safetensors", "head.json", "prototypes.safetensors", "model.json")
# STEGO and HP take the ViT-S/8 of 300 epochs, of the same shapes
_TRAINED_ON: Final = {"dino_vits8": "dino_vits8_300ep"}


def import_checkpoint(
    file: Path,
    out: Path,
    *,
    kind: str = "auto",
    backbone: str | None = None,
    weights: Path | None = None,
    head: Path | None = None,
    overwrite: bool = False,
) -> str:
    """Convert an official checkpoint of STEGO, HP or PriMaPs; no code in it is run.

    A head becomes a head folder, and with its cluster centres as prototypes a model folder too, so
    that it can be measured by itself. A PriMaPs checkpoint becomes a model folder. Weights of the
    backbone in the checkpoint are written beside.

    Args:
        file: The checkpoint.
        out: New folder, or one that an import which was killed has left; never that of a run. All
            is made in a folder in it and moved into place at the end: an import that fails leaves
            what is there as it is.
        kind: "auto", "stego", "hp" or "primaps".
        backbone: Name of the backbone; None = told by the shapes of the weights in the checkpoint.
        weights: Weights of the backbone, if the checkpoint holds none.
        head: Folder of the head that a PriMaPs checkpoint was fitted on.
        overwrite: Replace a head, a model or weights in ``out``, whoever wrote them.

    Returns:
        What was found and written, in words.

    Raises:
        CheckpointError: If the checkpoint cannot be read safely, is incomplete, belongs to another
            backbone, or has more clusters than label maps can hold.
        BackboneError: If its backbone is unknown or cannot be loaded.
        ConfigError: If an option contradicts the checkpoint, or ``out`` holds a head, a model or
            foreign weights already.
        OutputError: If ``out`` cannot be written.
    """
    _check_kind(kind)
    _refuse_taken(out, head, overwrite=overwrite)
    official = read_official(file, kind)  # type: ignore[arg-type]  # checked above
    _check_clusters(official, file)
    _check_backbone_options(official, file, weights, head)
    name = _name(official, file, backbone, head)
    if official.vit:
        _refuse_weights(out, overwrite=overwrite)
    with replacing(out, (WEIGHTS_NAME, *_OURS), kept={WEIGHTS_NAME}) as made:
        if official.vit:
            weights = made / WEIGHTS_NAME
            write_tensors(weights, official.vit, _MADE_BY)
        extractor = load_backbone(name, weights=weights, device="cpu", head=head)
        facts = {
            "checkpoint": file.name,
            "checkpoint_sha256": file_sha256(file),
            "official": dict(official.settings),
        }
        if isinstance(official, OfficialModel):
            return _import_model(official, extractor, made, out, facts)
        return _import_head(official, extractor, made, out, facts)


def _check_kind(kind: str) -> None:
    if kind not in {"auto", *CHECKPOINT_KINDS}:
        hint = did_you_mean(kind, CHECKPOINT_KINDS)
        raise ConfigError(
            f"Expected --kind to be auto or one of {', '.join(CHECKPOINT_KINDS)}, but got"
            f" {kind!r}.{hint}"
        )


def _refuse_taken(out: Path, head: Path | None, *, overwrite: bool) -> None:
    """A folder is taken if it holds a head or model that is complete, or not from here; what a
    killed import left is not.
    """
    if head is not None and head.resolve() == out.resolve():
        raise ConfigError(
            f"Expected --out to be another folder than the head's, but both are {out}. Choose"
            " another --out."
        )
    taken = [name for name in sorted((*_OURS, "run.json")) if (out / name).exists()]
    of_a_run = "run.json" in taken
    tensors = [out / name for name in taken if name.endswith(".safetensors")]
    foreign = _is_foreign_head(out) or not all(map(_is_imported, tensors))
    if not of_a_run and (overwrite or not ("model.json" in taken or foreign)):
        return
    remedy = "Choose another --out." if of_a_run else "Choose another --out, or add --overwrite."
    raise ConfigError(
        f"Expected --out to be a new folder, but {out} holds {', '.join(taken)}. {remedy}"
    )


def _refuse_weights(out: Path, *, overwrite: bool) -> None:
    """Weights of the backbone that are there may be the only copy of somebody's own."""
    path = out / WEIGHTS_NAME
    if path.exists() and not (overwrite or _is_imported(path)):
        raise ConfigError(
            f"Expected --out to be a new folder, but {path} is not from an import. Choose another"
            " --out, or add --overwrite."
        )


def _is_imported(tensors: Path) -> bool:
    """Whether a file of tensors was written here, so that it may be replaced unasked."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(tensors, framework="pt") as file:
            return (file.metadata() or {}).items() >= _MADE_BY.items()
    except (OSError, SafetensorError):
        return False  # absent, or no safetensors


def _is_foreign_head(out: Path) -> bool:
    if not (out / "head.json").exists():
        return False
    try:
        return "checkpoint_sha256" not in head_record(out)["training"]
    except CheckpointError:
        return True  # whoever wrote it


def _check_clusters(official: OfficialHead | OfficialModel, file: Path) -> None:
    clusters = len(official.centres if isinstance(official, OfficialHead) else official.teacher)
    if not MIN_CLASSES <= clusters <= MAX_CLASSES:
        raise CheckpointError(
            f"Expected {file} to have {MIN_CLASSES} to {MAX_CLASSES} clusters, which label maps can"
            f" hold, but it has {clusters}."
        )


def _check_backbone_options(
    official: OfficialHead | OfficialModel, file: Path, weights: Path | None, head: Path | None
) -> None:
    """Nothing is given that the checkpoint holds, or is."""
    if official.vit and (weights is not None or head is not None):
        raise ConfigError(
            f"Expected neither --weights nor --head, since {file} holds its backbone. Leave them"
            " away."
        )
    if isinstance(official, OfficialHead) and head is not None:
        raise ConfigError(
            f"Expected no --head, since {file} is a head itself. It is for PriMaPs checkpoints."
        )


def _name(
    official: OfficialHead | OfficialModel, file: Path, given: str | None, head: Path | None
) -> str:
    """The backbone's name: given, the head's, or told by shapes."""
    if given is not None or head is not None:
        return backbone_name(given, head)
    if not official.vit:
        needed = (
            "--backbone NAME"
            if isinstance(official, OfficialHead)
            else "--head DIR with the head it was fitted on"
        )
        raise ConfigError(
            f"Expected to be told the backbone, since {file} holds no weights of it. Give {needed}."
        )
    names = matching_backbones(official.vit)
    if not names:
        raise BackboneError(
            f"Expected {file} to hold a known backbone. {guess_model(official.vit)} If you know it,"
            " give --backbone NAME."
        )
    return _TRAINED_ON.get(names[0], names[0]) if isinstance(official, OfficialHead) else names[0]


def _import_head(
    official: OfficialHead, plain: FeatureExtractor, made: Path, out: Path, facts: dict[str, Any]
) -> str:
    head = Head(
        kind=official.kind,
        network=official.network,
        backbone=plain.describe(),
        size=TRAINED_AT,
        centres=official.centres,
        probe=official.probe,
        weights=WEIGHTS_NAME if official.vit else None,
        training=facts,
    )
    head.check_backbone(plain.describe())
    save_head(made, head, _MADE_BY)
    extractor = load_backbone(
        str(plain.describe()["name"]), weights=plain.weights_path, device="cpu", head=made
    )
    centres = F.normalize(official.centres, dim=1)
    fit = FitResult(centres, centres.clone(), cosine=True, usage=_unknown(centres))
    _save_model(fit, extractor, made, out, facts, method="baseline")
    sizes = f"{plain.dim} -> {extractor.dim} channels, {len(centres)} cluster centres"
    return (
        f"Head of kind {official.kind} for {plain.name}: {sizes}.\n"
        f"Head: {out} (for --head of `primaps segment`; as --model of `primaps predict` it"
        " stands for its own cluster centres)"
    )


def _import_model(
    official: OfficialModel,
    extractor: FeatureExtractor,
    made: Path,
    out: Path,
    facts: dict[str, Any],
) -> str:
    clusters, channels = official.teacher.shape
    if channels != extractor.dim:
        raise CheckpointError(
            f"Expected prototypes of {extractor.dim} channels for {extractor.name}, but got"
            f" {channels}. Give the backbone or head that they were fitted on."
        )
    baseline = official.method == "baseline"
    fit = FitResult(
        official.teacher, official.student, cosine=baseline, usage=_unknown(official.teacher)
    )
    _save_model(fit, extractor, made, out, facts, method=official.method)
    return (
        f"Model of PriMaPs ({official.method}) for {extractor.name}: {clusters} classes, {channels}"
        f" channels.\nModel: {out}"
    )


def _save_model(
    fit: FitResult,
    extractor: FeatureExtractor,
    made: Path,
    out: Path,
    facts: dict[str, Any],
    *,
    method: str,
) -> None:
    size = facts["official"].get("validation_resize")
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= 4096:
        # 322 for patches of 14
        size = round(320 / extractor.input_multiple) * extractor.input_multiple
    settings = {"preset": "paper", "method": method, "num_clusters": len(fit.teacher), **facts}
    identity = fingerprint([facts["checkpoint_sha256"], dict(extractor.describe())])
    # What was made lies in ``out`` afterwards, where weights of the user may lie, too.
    weights, head = (
        relative_to(relative_to(path, made), out)
        for path in (extractor.weights_path, head_path(extractor))
    )
    Model(fit, extractor.describe(), weights, size, settings, identity, head).save(made, _MADE_BY)


def _unknown(prototypes: torch.Tensor) -> torch.Tensor:
    return torch.full((len(prototypes),), -1)
