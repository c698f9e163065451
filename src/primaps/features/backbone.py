"""Load any backbone by name: frozen, in evaluation mode, never with random weights."""

from __future__ import annotations

import dataclasses
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from torch import nn

from primaps.config import did_you_mean
from primaps.errors import BackboneError, CheckpointError
from primaps.features.device import resolve_device
from primaps.features.extractor import FrozenBackbone
from primaps.features.heads.extractor import BackboneWithHead
from primaps.features.heads.files import head_record
from primaps.features.mini import BUNDLED_WEIGHTS, MiniBackbone
from primaps.features.position import resample_position
from primaps.features.registry import TIMM_PREFIX, BackboneSpec, PositionRule, find_spec
from primaps.features.texture import TextureBackbone
from primaps.features.weights import State, file_sha256, load_into, read_weights, to_timm_layout
from primaps.types import FeatureExtractor

DEFAULT_BACKBONE: Final = "mini"


def load_backbone(
    name: str = DEFAULT_BACKBONE,
    *,
    weights: str | Path | None = None,
    device: str | torch.device = "auto",
    head: str | Path | None = None,
    head_dropout: bool = False,
) -> FeatureExtractor:
    """Load a frozen backbone.

    ``mini`` is the default because it needs no download. For quality choose a ``dinov2_*`` or ``dino_*`` backbone.

    Args:
        name: A name of `primaps.features.registry.list_backbones`, or ``timm:<any timm model>``.
        weights: A weights file (``.safetensors``, ``.pth``, ``.pt``) in the official DINO, DINOv2 or DINOv3 layout or in
            timm's (for ``mini``: one that ``tools/train_mini.py`` wrote); None = the bundled ones, or the Hugging Face hub's,
            downloaded on first use and cached.
        device: "auto", "cpu", "cuda", "cuda:<index>" or "mps".
        head: Folder of a STEGO or HP head for this backbone: features are its codes. If the folder holds the weights of the
            backbone too (imported heads do), they are the ones to load unless ``weights`` names others.
        head_dropout: The head drops channels in inference too, as the official code of PriMaPs does with STEGO heads.

    Returns:
        The backbone: ``extract(image)`` gives (C, h, w) features of a (H, W, 3) uint8 image.

    Raises:
        BackboneError: If the name is unknown, the weights cannot be had, or they belong to another model.
        CheckpointError: If the head cannot be read, or belongs to another backbone.
        ConfigError: If the device is not available.

    Example:
        >>> backbone = load_backbone("texture", device="cpu")
        >>> backbone.describe()["implementation"]
        'texture'
    """
    if head is not None:
        folder = Path(head)
        record = head_record(folder)
        wanted, beside = record["backbone"]["name"], record["weights"]
        if wanted != name:  # before anything is downloaded
            raise CheckpointError(
                f"Expected the backbone {wanted!r}, on which the head in {folder} was trained, but got {name!r}."
            )
        if weights is None and beside is not None:
            weights = folder / beside
        return BackboneWithHead(_load_plain(name, weights, device), folder, inference_dropout=head_dropout)
    if head_dropout:
        raise CheckpointError("Expected a head whose channels to drop, but got none. Give one, or leave the dropout away.")
    return _load_plain(name, weights, device)


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
        raise CheckpointError(f"Expected the folder of the {known['kind']} head that was used, but got none. Give --head DIR.")
    dropout = known is not None and bool(known["inference_dropout"])
    return load_backbone(str(description["name"]), weights=weights, device=device, head=head, head_dropout=dropout)


def backbone_name(name: str | None, head: str | Path | None) -> str:
    """The backbone to load where the user may have left it open: the one the head was trained on, or `mini`.

    Raises:
        CheckpointError: If there is no head in the folder.
    """
    if name is None and head is not None:
        return str(head_record(Path(head))["backbone"]["name"])
    return DEFAULT_BACKBONE if name is None else name


def _load_plain(name: str, weights: str | Path | None, device: str | torch.device) -> FrozenBackbone:
    spec = find_spec(name)
    target = resolve_device(device)
    if spec.implementation == "texture":
        if weights is not None:
            raise BackboneError(f"Expected no weights file for {name!r}, which has no weights, but got {weights}.")
        return TextureBackbone(spec).to(target).freeze()
    if name.startswith(TIMM_PREFIX):
        _check_timm_name(spec)
    backbone = _with_weights(spec, None if weights is None else Path(weights))
    backbone.weights_path = None if weights is None else str(Path(weights).absolute())
    return backbone.to(target).freeze()


def _with_weights(spec: BackboneSpec, weights: Path | None) -> FrozenBackbone:
    if spec.implementation == "mini":
        return MiniBackbone(spec, weights or BUNDLED_WEIGHTS)
    return _from_hub(spec) if weights is None else _from_file(spec, weights)


class TimmBackbone(FrozenBackbone):
    """A model of timm as a frozen backbone.

    Features are the patch tokens of the last block after the final norm (Caron et al. 2021, Oquab et al. 2024), or the
    last level of a convolutional network. Position embeddings of DINO and DINOv2 follow the official hub code.
    """

    def __init__(self, spec: BackboneSpec, model: nn.Module, weights_sha256: str) -> None:
        """Wrap a model whose weights are loaded.

        Args:
            spec: Registry entry; for ``timm:`` models completed from the model itself.
            model: timm model without classifier.
            weights_sha256: Checksum of the weights.
        """
        super().__init__(spec)
        self.model: Any = model
        self._weights_sha256 = weights_sha256
        self._positions: dict[tuple[int, int], torch.Tensor] = {}

    def describe(self) -> Mapping[str, Any]:
        """As `FrozenBackbone.describe`, with the timm model and the SHA-256 of the weights."""
        return {**super().describe(), "timm_name": self.spec.timm_name, "weights_sha256": self._weights_sha256}

    def _features(self, batch: torch.Tensor) -> torch.Tensor:
        if self.spec.position is None:
            return self._last_level(batch)
        return self._hub_tokens(batch, self.spec.position)

    def _last_level(self, batch: torch.Tensor) -> torch.Tensor:
        try:
            levels = self.model.forward_intermediates(batch, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True)
        except AssertionError as error:
            raise BackboneError(
                f"Expected {self.name!r} to accept inputs of {batch.shape[2]} x {batch.shape[3]} pixels, but the model refuses: "
                f"{error} Choose a model that accepts any input size."
            ) from error
        last: torch.Tensor = levels[-1]
        return last

    def _hub_tokens(self, batch: torch.Tensor, rule: PositionRule) -> torch.Tensor:
        """The official forward: CLS and registers are prefix tokens without, or with their own, position embedding."""
        model = self.model
        tokens = model.patch_embed(batch)  # (N, h, w, C)
        count, height, width, _ = tokens.shape
        prefix = [model.cls_token] if model.reg_token is None else [model.cls_token, model.reg_token]
        if not model.no_embed_class:
            prefix[0] = prefix[0] + model.pos_embed[:, :1]
        patches = tokens.flatten(1, 2) + self._position((height, width), rule)
        sequence = torch.cat([*(token.expand(count, -1, -1) for token in prefix), patches], dim=1)
        for block in model.blocks:
            sequence = block(sequence)
        features: torch.Tensor = model.norm(sequence)[:, model.num_prefix_tokens :]
        return features.transpose(1, 2).reshape(count, -1, height, width)

    def _position(self, grid: tuple[int, int], rule: PositionRule) -> torch.Tensor:
        cached = self._positions.get(grid)
        if cached is None or cached.device != self.device:
            embedding = self.model.pos_embed
            cached = resample_position(embedding if self.model.no_embed_class else embedding[:, 1:], grid, rule)
            # One entry: folders are mostly of one format, and a cache of all grids would grow without bound.
            self._positions = {grid: cached}
        return cached


def _check_timm_name(spec: BackboneSpec) -> None:
    import timm

    name = spec.timm_name
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = did_you_mean(architecture, timm.list_models())
        raise BackboneError(f"Unknown timm model {architecture!r} in {spec.name!r}.{hint} timm.list_models() gives all names.")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        hint = did_you_mean(tag, tags)
        raise BackboneError(f"Unknown weights {tag!r} of timm model {architecture!r}.{hint} Known: {', '.join(tags) or 'none'}.")


def _create(spec: BackboneSpec, **options: Any) -> Any:
    """A timm model without classifier that accepts any input size if its kind can; weights still to be loaded."""
    import timm

    try:
        return timm.create_model(spec.timm_name, pretrained=False, num_classes=0, dynamic_img_size=True, **options)
    except TypeError:  # convolutional models know no dynamic_img_size
        return timm.create_model(spec.timm_name, pretrained=False, num_classes=0, **options)


def _from_file(spec: BackboneSpec, path: Path) -> TimmBackbone:
    state = to_timm_layout(read_weights(path))
    # DINOv3 exists in timm with and without biases of queries and values; the file decides.
    biased = spec.name.startswith("dinov3") and any(key.endswith(".q_bias") for key in state)
    model = _create(spec, **({"qkv_bias": True} if biased else {}))
    return _finish(spec, model, state, path)


def _from_hub(spec: BackboneSpec) -> TimmBackbone:
    path = _download(spec)
    model, state = _create(spec), to_timm_layout(read_weights(path))
    if spec.name.startswith(TIMM_PREFIX):
        # Some hub files keep their authors' layout, which the model's own module in timm converts. Loading through timm itself
        # would leave keys that are missing at random values without a word.
        convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        state = state if convert is None else convert(state, model)
    return _finish(spec, model, state, path)


def _finish(spec: BackboneSpec, model: Any, state: State, path: Path) -> TimmBackbone:
    load_into(model, state, classifiers=_classifiers(model), wanted=spec.name, path=path)
    return TimmBackbone(_complete(spec, model), model, file_sha256(path))


def _classifiers(model: Any) -> tuple[str, ...]:
    names = model.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _complete(spec: BackboneSpec, model: Any) -> BackboneSpec:
    """Fill in what a ``timm:`` entry learns from its model: dimension, stride, normalisation, licence."""
    if spec.dim:
        return spec
    if not hasattr(model, "forward_intermediates"):
        raise BackboneError(f"Expected {spec.name!r} to give dense features, but the model has no forward_intermediates in timm.")
    last, settings = model.feature_info[-1], model.pretrained_cfg
    return dataclasses.replace(
        spec,
        dim=int(last["num_chs"]),
        patch_size=int(last["reduction"]),
        licence=settings.get("license") or spec.licence,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )


def _download(spec: BackboneSpec) -> Path:
    """The weights file from the Hugging Face hub's cache, downloaded if it is not there yet."""
    import timm
    from huggingface_hub import hf_hub_download

    settings = timm.get_pretrained_cfg(spec.timm_name)
    if not spec.hub or settings is None or not settings.hf_hub_id:
        raise BackboneError(_no_weights(spec, "no hub carries them", str(settings.url) if settings and settings.url else ""))
    file_name = settings.hf_hub_filename or "model.safetensors"
    known = _hub_is_known()
    try:
        return Path(hf_hub_download(settings.hf_hub_id, file_name, local_files_only=not known))
    except Exception as error:  # no network, no such file, no permission, full disk: one remedy
        reason = "there is no network, and the cache of the hub does not hold them"
        if known:
            reason = f"the download failed ({type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]})"
        url = f"https://huggingface.co/{settings.hf_hub_id}/resolve/main/{file_name}"
        raise BackboneError(_no_weights(spec, reason, url)) from error


def _hub_is_known() -> bool:
    """False where the hub's name cannot be looked up: then only its cache is asked, instead of half a minute of retries."""
    from huggingface_hub import constants

    if getproxies():
        return True  # a proxy looks names up itself
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


def _no_weights(spec: BackboneSpec, reason: str, timm_url: str) -> str:
    """What to fetch from where: the official file if there is one; what timm uses does as well."""
    files = [f"{spec.file_name} from {spec.url}"] if spec.file_name else []
    files += [timm_url] if timm_url and (spec.hub or not files) else []
    return (
        f"Expected the weights of {spec.name!r} to be available, but {reason}. "
        f"Fetch {' or '.join(files) or 'a weights file of this model'} and give it with --weights FILE."
    )
