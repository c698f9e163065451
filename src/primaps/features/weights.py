"""Safe reading of weight files, and their layouts: official DINO, DINOv2, DINOv3, and timm."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from primaps.errors import BackboneError
from primaps.features.registry import list_backbones

State = dict[str, torch.Tensor]

# the teacher is the published network
_WRAPPERS: Final = ("teacher", "student", "state_dict", "model")
_HEADS: Final = ("head.", "dino_head.", "ibot_head.", "projection_head.", "prototypes.")
_SHOWN: Final = 3
_DAMAGED: Final = "The file is damaged; download it again from its official source."


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(path: Path) -> State:
    """Read a weight file without running any code in it, and unwrap training checkpoints.

    Args:
        path: ``.safetensors``, or ``.pth`` / ``.pt`` / ``.bin`` / ``.ckpt`` / ``.tar``, read with
            ``torch.load(weights_only=True)``. Full training checkpoints ("teacher" before
            "student", keys prefixed ``module.`` and ``backbone.``) are unwrapped.

    Returns:
        Tensors by key, on the CPU, in the layout of the file.

    Raises:
        BackboneError: If the file is missing, damaged, of another kind, or holds anything but
            tensors and plain values.
    """
    if not path.is_file():
        raise BackboneError(
            f"Expected a weights file, but {path}"
            f" {'is a folder' if path.is_dir() else 'does not exist'}."
        )
    return _unwrap(_read(path), path)


def _read(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix not in {".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".tar"}:
        raise BackboneError(
            f"Expected a weights file ending in .safetensors, .pth or .pt, but got {path.name!r}."
        )
    try:
        if suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        # Official DINO training checkpoints carry their command line as an argparse.Namespace,
        # which is only data.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    # damaged files fail in a dozen ways, all of them mean the same to the user
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:300] or type(error).__name__
        raise BackboneError(
            f"Expected {path} to hold tensors only, but it cannot be read safely: {reason} The file"
            " is damaged, incomplete, or contains code; download it again from its official"
            " source."
        ) from error


def _unwrap(content: Any, path: Path) -> State:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content:
        raise BackboneError(
            f"Expected {path} to hold a dictionary of tensors, but got {type(content).__name__}."
        )
    foreign = [
        str(key)
        for key, value in content.items()
        if not (isinstance(key, str) and isinstance(value, torch.Tensor))
    ]
    if foreign:
        raise BackboneError(
            f"Expected {path} to hold tensors by name, or a checkpoint with one of"
            f" {', '.join(_WRAPPERS)}, but got other values under {_first(foreign)}."
        )
    infinite = [key for key, value in content.items() if not torch.isfinite(value).all()]
    if infinite:
        raise BackboneError(
            f"Expected {path} to hold finite numbers, but got others in {_first(infinite)}. The"
            " file is damaged; download it again from its official source."
        )
    return {
        key.removeprefix("module.").removeprefix("backbone."): value
        for key, value in content.items()
    }


def to_timm_layout(state: State) -> State:
    """Rename and merge the keys of the official layouts to those of timm.

    - DINO: the same keys.
    - DINOv2: ``mask_token`` (used in training only) is dropped. With registers, ``register_tokens``
      becomes ``reg_token`` and the CLS entry of ``pos_embed`` moves into ``cls_token``, which is
      what it is added to.
    - DINOv3: ``storage_tokens`` becomes ``reg_token``, ``ls<i>.gamma`` becomes ``gamma_<i>``,
      constants of the rotary embedding and ``mask_token`` are dropped, ``qkv.bias`` becomes
      ``q_bias`` and ``v_bias`` (the bias of the keys is masked), and disappears if it is zero
      throughout the file, as in the published models.

    Args:
        state: Tensors by key as `read_weights` returns them.

    Raises:
        BackboneError: If tensors that are merged or split have shapes that cannot be.
    """
    result = {key: value for key, value in state.items() if key != "mask_token"}
    if "register_tokens" in result and "pos_embed" in result and "cls_token" in result:
        _check_positions(result["cls_token"], result["pos_embed"])
        result["reg_token"] = result.pop("register_tokens")
        result["cls_token"] = result["cls_token"] + result["pos_embed"][:, :1]
        result["pos_embed"] = result["pos_embed"][:, 1:]
    return _from_dinov3(result) if "storage_tokens" in result else result


def _check_positions(token: torch.Tensor, positions: torch.Tensor) -> None:
    found = (tuple(token.shape), tuple(positions.shape))
    if (
        token.ndim != 3
        or token.shape[:2] != (1, 1)
        or positions.ndim != 3
        or positions.shape[0] != 1
        or positions.shape[1] < 2
    ):
        raise BackboneError(
            "Expected cls_token (1, 1, C) and pos_embed (1, N, C) with N of 2 or more, but got"
            f" {found}. {_DAMAGED}"
        )
    if token.shape[2] != positions.shape[2]:
        raise BackboneError(
            f"Expected cls_token and pos_embed to have as many channels, but got {found}."
            f" {_DAMAGED}"
        )


def _from_dinov3(state: State) -> State:
    result: State = {}
    for key, value in state.items():
        if key.endswith((".periods", ".bias_mask")):
            continue
        if key.endswith("qkv.bias"):
            if value.ndim != 1 or not len(value) or len(value) % 3:
                raise BackboneError(
                    f"Expected {key} to have shape (3 * C,), but got {tuple(value.shape)}."
                    f" {_DAMAGED}"
                )
            query, _, values = value.chunk(3)
            result[key.replace("qkv.bias", "q_bias")] = query
            result[key.replace("qkv.bias", "v_bias")] = values
            continue
        result[
            re.sub(r"\.ls([12])\.gamma$", r".gamma_\1", key.replace("storage_tokens", "reg_token"))
        ] = value
    biases = [key for key in result if key.endswith(("q_bias", "v_bias"))]
    if not any(bool(result[key].any()) for key in biases):
        for key in biases:
            del result[key]
    return result


def rename_in_order(
    state: State, target: Mapping[str, torch.Tensor], *, wanted: str, path: Path
) -> State:
    """Give tensors the names of a model whose tensors come in the same order.

    Args:
        state: Tensors by key, in the order of the file.
        target: The model's tensors by key, in its order; only shapes are looked at.
        wanted: Name of the backbone, for messages.
        path: The file the weights come from, for messages.

    Raises:
        BackboneError: If number or shapes differ.
    """
    shapes, expected = (
        [tuple(value.shape) for value in tensors.values()] for tensors in (state, target)
    )
    if shapes != expected:
        place = next(
            (
                index
                for index, pair in enumerate(zip(shapes, expected, strict=False))
                if pair[0] != pair[1]
            ),
            None,
        )
        where = (
            ""
            if place is None
            else f" of which number {place + 1} is {shapes[place]} instead of {expected[place]}"
        )
        raise BackboneError(
            f"Expected {path} to hold the {len(expected)} tensors of {wanted!r} in order, but got"
            f" {len(shapes)}{where}. Give the file of that model, or choose the backbone that the"
            " file belongs to."
        )
    return dict(zip(target, state.values(), strict=True))


@dataclass(frozen=True)
class KeyCheck:
    """Tensors of a file compared with those of a model.

    Attributes:
        expected: So many has the model.
        missing: Keys that only the model has.
        unexpected: Keys that only the file has.
        shapes: What has another shape, in words.
    """

    expected: int
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()

    def problems(self) -> str:
        """What does not fit, in words; empty = all fits."""
        return "; ".join(
            f"{len(found)} {word} ({_first(list(found))})"
            for word, found in (
                ("missing keys", self.missing),
                ("unexpected keys", self.unexpected),
                ("other shapes", self.shapes),
            )
            if found
        )


def compare_keys(
    target: Mapping[str, torch.Tensor], state: State, classifiers: Iterable[str] = ()
) -> tuple[State, KeyCheck]:
    """Compare keys and shapes of weights with those of a model.

    Args:
        target: The model's tensors by key; only shapes are looked at.
        state: Tensors by key in timm's layout. Keys of heads that the model does not have are left
            out.
        classifiers: Names of the model's classifier modules, which a backbone goes without, and
            with them what is in their heads.

    Returns:
        What belongs to the model, and the comparison.
    """
    heads = (*_HEADS, *(f"{name.partition('.')[0]}." for name in classifiers))
    state = {
        key: value for key, value in state.items() if key in target or not key.startswith(heads)
    }
    return state, KeyCheck(
        expected=len(target),
        missing=tuple(key for key in target if key not in state),
        unexpected=tuple(key for key in state if key not in target),
        shapes=tuple(
            f"{key} {tuple(state[key].shape)} instead of {tuple(target[key].shape)}"
            for key in target
            if key in state and state[key].shape != target[key].shape
        ),
    )


def load_into(
    model: nn.Module, state: State, *, classifiers: Iterable[str] = (), wanted: str, path: Path
) -> None:
    """Copy weights into a model; every key and every shape has to fit.

    Args:
        model: timm model.
        state: Tensors by key in timm's layout, see `compare_keys`.
        classifiers: Names of the model's classifier modules, see `compare_keys`.
        wanted: Name of the backbone, for messages.
        path: The file the weights come from, for messages.

    Raises:
        BackboneError: If keys are missing or unexpected, or shapes differ; says which model the
            file seems to hold.
    """
    state, check = compare_keys(model.state_dict(), state, classifiers)
    if problems := check.problems():
        raise BackboneError(
            f"Expected {path} to hold the weights of {wanted!r}, but got {problems}."
            f" {guess_model(state)} Give the file of that model, or choose the backbone that the"
            " file belongs to."
        )
    model.load_state_dict(state, strict=True)


def guess_model(state: Mapping[str, torch.Tensor]) -> str:
    """A sentence that says which backbone a state dict seems to hold, judged by its shapes.

    Args:
        state: Tensors by key, official or timm layout.
    """
    patch = state.get("patch_embed.proj.weight")
    if patch is None or patch.ndim != 4:
        return "The file does not look like a vision transformer."
    dim, patch_size = patch.shape[0], patch.shape[-1]
    names = matching_backbones(state)
    blocks = {int(match[1]) for key in state if (match := re.match(r"blocks\.(\d+)\.", key))}
    registers = _has_registers(state)
    found = (
        f"dimension {dim}, patch size {patch_size}, {len(blocks)}"
        f" blocks{', registers' if registers else ''}"
    )
    return (
        "The file seems to hold a vision transformer of"
        f" {found}{': ' + ' or '.join(names) if names else ''}."
    )


def layout_name(state: Mapping[str, torch.Tensor]) -> str:
    """In whose layout the tensors of a file are, in words.

    Args:
        state: Tensors by key as `read_weights` returns them.
    """
    for key, name in (
        ("storage_tokens", "official, DINOv3"),
        ("register_tokens", "official, DINOv2 with registers"),
        ("mask_token", "official, DINOv2"),
        ("_conv_stem.weight", "official, EfficientNet-Lite"),
    ):
        if key in state:
            return name
    if "patch_embed.proj.weight" in state and not any("ls1.gamma" in key for key in state):
        return "official, DINO (timm's is the same)" if "pos_embed" in state else "timm"
    return "timm"


def matching_backbones(state: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the backbones with the dimension, patch size and registers of a state dict, in the
    order of the registry.

    Args:
        state: Tensors by key, official or timm layout.
    """
    patch = state.get("patch_embed.proj.weight")
    if patch is None or patch.ndim != 4:
        return []
    return [
        spec.name
        for spec in list_backbones()
        if spec.timm_name
        and (spec.dim, spec.patch_size) == (patch.shape[0], patch.shape[-1])
        and ("reg4" in spec.timm_name or "dinov3" in spec.timm_name) == _has_registers(state)
    ]


def _has_registers(state: Mapping[str, torch.Tensor]) -> bool:
    return any(key in state for key in ("reg_token", "register_tokens"))


def _first(items: list[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (", ..." if len(items) > _SHOWN else "")
