"""Official checkpoints of STEGO, HP and PriMaPs: which tensors mean what. Dimensions come from
shapes, never from settings.

STEGO (Hamilton et al. 2022) and PriMaPs (Hahn et al. 2024) write Lightning checkpoints, HP (Seong
et al. 2023) a dictionary of state dicts. What they call ``cluster1`` and ``cluster2`` are the
linear and the non-linear branch of the head.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch
from torch.nn import functional as F

from primaps.errors import CheckpointError
from primaps.features.weights import State
from primaps.heads.files import HeadKind, LinearProbe
from primaps.heads.pickle_reader import Record
from primaps.heads.projection import ProjectionHead
from primaps.heads.torch_file import StoredTensor, read_stored, read_torch_file

CheckpointKind = Literal["stego", "hp", "primaps"]
CHECKPOINT_KINDS: Final[tuple[CheckpointKind, ...]] = get_args(CheckpointKind)

# of settings: the values of a damaged file may all be one large dictionary
_MOST_GROUPS: Final = 64
_EMA: Final = "cluster_probe.ema_model"
_CENTRES: Final = "cluster_probe.cluster_centers"
# of a backbone; names that start with __ mean something in files
_WEIGHT_KEY: Final = re.compile(r"(?!__)[A-Za-z0-9_.]{1,200}")
_FEATURES_OF: Final = {"stego": "net.", "hp": ""}  # what the keys of backbone and head start with


@dataclass(frozen=True)
class OfficialHead:
    """What a checkpoint of STEGO or HP holds.

    Attributes:
        kind: Which of the two.
        network: The head; of HP the one that was trained, not its moving average, as in its own
            evaluation.
        centres: (K, D) float32 cluster centres.
        probe: The linear probe; None if the checkpoint holds none.
        vit: Weights of the backbone by their official keys; empty if the checkpoint holds none.
        settings: Plain settings found in the file.
    """

    kind: HeadKind
    network: ProjectionHead
    centres: torch.Tensor
    probe: LinearProbe | None
    vit: State
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class OfficialModel:
    """What a checkpoint of PriMaPs holds.

    Attributes:
        method: "em", or "baseline" for its k-means initialisation.
        teacher: (K, C) float32 effective prototypes of the momentum teacher.
        student: (K, C) float32 likewise of the student; for the baseline the teacher's.
        vit: Weights of the backbone by their official keys; empty if it was fitted to the codes of
            a head.
        settings: Plain settings found in the file.
    """

    method: Literal["em", "baseline"]
    teacher: torch.Tensor
    student: torch.Tensor
    vit: State
    settings: Mapping[str, Any]


def read_official(
    path: Path, kind: CheckpointKind | Literal["auto"] = "auto"
) -> OfficialHead | OfficialModel:
    """Read an official checkpoint without running any code in it.

    Args:
        path: ``.ckpt`` or ``.pth``.
        kind: Whose it is; "auto" = told by its keys.

    Raises:
        CheckpointError: If it cannot be read safely, is of another kind, or lacks a tensor.
    """
    content = read_torch_file(path)
    found = _kind_of(content, path)
    if kind not in {"auto", found}:
        raise CheckpointError(
            f"Expected {path} to be a checkpoint of kind {kind}, but its keys are those of {found}."
        )
    if found == "hp":
        parts = {
            "": "net_model_state_dict",
            "linear_probe.": "linear_model_state_dict",
            "cluster_probe.": "cluster_model_state_dict",
        }
        tensors = {
            prefix + key: value
            for prefix, part in parts.items()
            for key, value in _mapping(content, part, path).items()
        }
    else:
        tensors = _mapping(content, "state_dict", path)
    state = _State(path, tensors)
    return (
        _model(state, _settings(content))
        if found == "primaps"
        else _head(state, found, _settings(content))
    )


def _kind_of(content: Any, path: Path) -> CheckpointKind:
    if isinstance(content, dict):
        if "net_model_state_dict" in content:
            return "hp"
        keys = content.get("state_dict")
        if isinstance(keys, dict):
            if "cluster_probe.clusters" in keys:
                return "stego"
            if f"{_EMA}.weight_v" in keys or f"{_CENTRES}.weight_v" in keys:
                return "primaps"
    shown = type(content).__name__
    if isinstance(content, dict):
        shown = ", ".join([repr(key)[:60] for key in content if isinstance(key, str)][:5])
    raise CheckpointError(
        f"Expected {path} to be a checkpoint of STEGO, HP or PriMaPs, but it holds"
        f" {shown or 'nothing'}. Weights of a backbone are given with --weights instead."
    )


def _mapping(content: dict[Any, Any], key: str, path: Path) -> dict[str, Any]:
    value = content.get(key)
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise CheckpointError(
            f"Expected {path} to hold tensors by name under {key!r}, but it does not."
        )
    return value


@dataclass(frozen=True)
class _State:
    """The tensors of a checkpoint, read when they are taken."""

    path: Path
    tensors: Mapping[str, Any]

    def shape(self, key: str, ndim: int) -> tuple[int, ...]:
        """Of a floating-point tensor."""
        value = self.tensors.get(key)
        if not isinstance(value, StoredTensor):
            raise CheckpointError(
                f"Expected {self.path} to hold a tensor {key!r}, but it does not. It is incomplete."
            )
        if (
            len(value.shape) != ndim
            or 0 in value.shape
            or not value.storage.dtype.is_floating_point
        ):
            found = f"{value.storage.dtype} {value.shape}"
            raise CheckpointError(
                f"Expected {key!r} in {self.path} to be floating point with {ndim} axes, but got"
                f" {found}."
            )
        return value.shape

    def take(self, shapes: Mapping[str, tuple[int, ...]]) -> State:
        """float32 tensors of known shapes."""
        for key, wanted in shapes.items():
            if (found := self.shape(key, len(wanted))) != wanted:
                raise CheckpointError(
                    f"Expected {key!r} in {self.path} to have shape {wanted}, but got {found}."
                )
        read = read_stored(self.path, {key: self.tensors[key] for key in shapes})
        for key, value in read.items():
            if not bool(value.isfinite().all()):
                raise CheckpointError(
                    f"Expected {key!r} in {self.path} to be finite, but it holds NaN or infinity."
                )
        return {key: value.float() for key, value in read.items()}

    def below(self, prefix: str) -> State:
        """All floating-point tensors whose key starts with a prefix, by the rest of the key."""
        stored = {
            key: value
            for key, value in self.tensors.items()
            if key.startswith(prefix)
            and isinstance(value, StoredTensor)
            and value.storage.dtype.is_floating_point
        }
        for key in stored:
            if not _WEIGHT_KEY.fullmatch(key.removeprefix(prefix)):
                raise CheckpointError(
                    f"Expected names of weights in {self.path} to be letters, digits, points and"
                    f" underscores, but got {ascii(key)[:80]}. Get the file from its official"
                    " source."
                )
        return {
            key.removeprefix(prefix): value for key, value in read_stored(self.path, stored).items()
        }


def _head(state: _State, kind: HeadKind, settings: Mapping[str, Any]) -> OfficialHead:
    prefix = _FEATURES_OF[kind]
    dim, channels = state.shape(f"{prefix}cluster1.0.weight", 4)[:2]
    clusters = state.shape("cluster_probe.clusters", 2)[0]
    nonlinear = any(key.startswith(f"{prefix}cluster2.") for key in state.tensors)
    layers = {"linear": ("cluster1.0", dim)}
    if nonlinear:
        layers |= {"hidden": ("cluster2.0", channels), "output": ("cluster2.2", dim)}
    shapes: dict[str, tuple[int, ...]] = {"cluster_probe.clusters": (clusters, dim)}
    for official, rows in layers.values():
        shapes |= {
            f"{prefix}{official}.weight": (rows, channels, 1, 1),
            f"{prefix}{official}.bias": (rows,),
        }
    probed = "linear_probe.weight" in state.tensors
    if probed:
        classes = state.shape("linear_probe.weight", 4)[0]
        shapes |= {"linear_probe.weight": (classes, dim, 1, 1), "linear_probe.bias": (classes,)}
    taken = state.take(shapes)
    weights = {
        f"{ours}.{part}": taken[f"{prefix}{official}.{part}"]
        for ours, (official, _) in layers.items()
        for part in ("weight", "bias")
    }
    with torch.device("meta"):
        network = ProjectionHead(channels, dim, nonlinear)
    network.load_state_dict(weights, strict=True, assign=True)
    probe = (
        LinearProbe(taken["linear_probe.weight"].flatten(1), taken["linear_probe.bias"])
        if probed
        else None
    )
    return OfficialHead(
        kind,
        network,
        taken["cluster_probe.clusters"],
        probe,
        state.below(f"{prefix}model."),
        settings,
    )


def _model(state: _State, settings: Mapping[str, Any]) -> OfficialModel:
    vit = state.below("net.model.")
    if f"{_EMA}.weight_v" in state.tensors:
        teacher, student = _prototypes(state, _EMA), _prototypes(state, "seghead")
        if student.shape != teacher.shape:
            raise CheckpointError(
                f"Expected student and teacher in {state.path} to have one shape, but got"
                f" {tuple(student.shape)} and {tuple(teacher.shape)}."
            )
        return OfficialModel("em", teacher, student, vit, settings)
    directions = _prototypes(state, _CENTRES, unit=True)
    return OfficialModel("baseline", directions, directions.clone(), vit, settings)


def _prototypes(state: _State, prefix: str, *, unit: bool = False) -> torch.Tensor:
    """(K, C) effective prototypes g * v / |v| of a weight-normalised 1 x 1 convolution; g = 1 for
    the cosine layer.
    """
    shape = state.shape(f"{prefix}.weight_v", 4)
    wanted = {f"{prefix}.weight_v": (*shape[:2], 1, 1)}
    if not unit:
        wanted[f"{prefix}.weight_g"] = (shape[0], 1, 1, 1)
    taken = state.take(wanted)
    directions = F.normalize(taken[f"{prefix}.weight_v"].flatten(1), dim=1)
    return directions if unit else directions * taken[f"{prefix}.weight_g"].flatten(1)


def _settings(content: dict[Any, Any]) -> dict[str, Any]:
    """Plain settings (text, numbers, truth values) of a checkpoint, wherever its kind keeps them;
    nothing relies on them.
    """
    found: dict[str, Any] = {}
    parameters = content.get("hyper_parameters")
    entries = parameters.entries if isinstance(parameters, Record) else parameters
    inner = islice(entries.values(), _MOST_GROUPS) if isinstance(entries, dict) else ()
    for values in (content, entries, *inner):
        found |= _plain(values)
    return found


def _plain(value: Any) -> dict[str, Any]:
    # argparse: its attributes; OmegaConf: nodes below `_content`, which hold a `_val`
    if isinstance(value, Record):
        value = value.state
        value = value.get("_content", value) if isinstance(value, dict) else None
    if not isinstance(value, dict):
        return {}
    inner = {key: _node_value(entry) for key, entry in value.items() if isinstance(key, str)}
    return {key: entry for key, entry in inner.items() if key.isprintable() and _fits_json(entry)}


def _node_value(value: Any) -> Any:
    return (
        value.state.get("_val")
        if isinstance(value, Record) and isinstance(value.state, dict)
        else value
    )


def _fits_json(value: Any) -> bool:
    if isinstance(value, str):
        return value.isprintable()  # half of a surrogate pair is not
    return isinstance(value, int | float) and abs(value) < 2**63  # nor is NaN or infinity
