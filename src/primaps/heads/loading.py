"""Load any backbone by name, with a head on top if one is given: what `primaps.load_backbone`
is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from primaps.errors import CheckpointError
from primaps.features.backbone import load_plain_backbone
from primaps.features.extractor import FrozenBackbone
from primaps.features.levels import LAST
from primaps.features.registry import DEFAULT_BACKBONE
from primaps.heads.extractor import BackboneWithHead
from primaps.heads.files import head_record
from primaps.types import FeatureExtractor


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    *,
    weights: str | Path | None = None,
    device: str | torch.device = "auto",
    head: str | Path | None = None,
    head_dropout: bool = False,
    levels: str | None = None,
) -> FeatureExtractor:
    """Load a frozen backbone.

    ``efficientnet_lite0`` is the default because its weights are installed with this package. For
    quality choose a ``dinov2_*`` or ``dino_*`` backbone.

    Args:
        name: A name of `primaps.features.registry.list_backbones`, or ``timm:<any timm model>``.
        weights: A weights file (``.safetensors``, ``.pth``, ``.pt``) in the official DINO, DINOv2
            or DINOv3 layout or in timm's (for ``mini``: one that ``tools/train_mini.py`` wrote);
            None = the installed ones, or the Hugging Face hub's, downloaded on first use and
            cached.
        device: "auto", "cpu", "cuda", "cuda:<index>" or "mps".
        head: Folder of a STEGO or HP head for this backbone: features are its codes. If the folder
            holds the weights of the backbone too (imported heads do), they are the ones to load
            unless ``weights`` names others.
        head_dropout: The head drops channels in inference too, as the official code of PriMaPs does
            with STEGO heads.
        levels: Which levels of a hierarchical model (convolutional, Swin, ...) are joined, by
            stride, with weights if wanted: ``"8,16,32"``, ``"8:0.5,16,32"``; or ``"last"``, the
            last one alone as the model gives it. None = those that the head was trained on, else
            strides 8, 16 and 32 as far as the model has them.

    Returns:
        The backbone: ``extract(image)`` gives (C, h, w) features of a (H, W, 3) uint8 image.

    Raises:
        BackboneError: If the name is unknown, the weights cannot be had, or they belong to another
            model.
        CheckpointError: If the head cannot be read, or belongs to another backbone.
        ConfigError: If the device is not available, or the model has no such levels.
        MissingExtraError: If the weights come in a package that is not installed.

    Examples:
        >>> backbone = load_backbone("texture", device="cpu")
        >>> backbone.describe()["implementation"]
        'texture'
    """
    if head is not None:
        plain = _load_below_head(name, Path(head), weights, device, levels)
        return BackboneWithHead(plain, Path(head), inference_dropout=head_dropout)
    if head_dropout:
        raise CheckpointError(
            "Expected a head whose channels to drop, but got none. Give one, or leave the dropout"
            " away."
        )
    return load_plain_backbone(name, weights=weights, device=device, levels=levels)


def _load_below_head(
    name: str,
    folder: Path,
    weights: str | Path | None,
    device: str | torch.device,
    levels: str | None,
) -> FrozenBackbone:
    """The backbone that a head was trained on: with the weights beside the head and its levels,
    unless others are given.
    """
    record = head_record(folder)
    wanted, beside = record["backbone"]["name"], record["weights"]
    if wanted != name:  # before anything is downloaded
        raise CheckpointError(
            f"Expected the backbone {wanted!r}, on which the head in {folder} was trained, but"
            f" got {name!r}."
        )
    return load_plain_backbone(
        name,
        weights=folder / beside if weights is None and beside is not None else weights,
        device=device,
        levels=record["backbone"].get("levels", LAST) if levels is None else levels,
    )


def reload_backbone(
    description: Mapping[str, Any],
    *,
    weights: str | Path | None,
    device: str | torch.device = "auto",
    head: str | Path | None,
) -> FeatureExtractor:
    """Load the backbone, and the head if there was one, that something on disk was made with.

    Args:
        description: Of `FeatureExtractor.describe`; the caller compares it with what was loaded.
        weights: Weights file of the backbone.
        device: Where it runs.
        head: Folder of the head.

    Raises:
        BackboneError: If the backbone's weights cannot be had.
        CheckpointError: If the head is missing, or belongs to another backbone.
    """
    known = description.get("head")
    if known is not None and head is None:
        raise CheckpointError(
            f"Expected the folder of the {known['kind']} head that was used, but got none. Give"
            " --head DIR."
        )
    dropout = known is not None and bool(known["inference_dropout"])
    levels = str(description.get("levels", LAST))
    return load_backbone(
        str(description["name"]),
        weights=weights,
        device=device,
        head=head,
        head_dropout=dropout,
        levels=levels,
    )


def backbone_name(name: str | None, head: str | Path | None) -> str:
    """The backbone to load where the user may have left it open: the one the head was trained on,
    or the default.

    Raises:
        CheckpointError: If there is no head in the folder.
    """
    if name is None and head is not None:
        return str(head_record(Path(head))["backbone"]["name"])
    return DEFAULT_BACKBONE if name is None else name
