"""A head on disk: ``head.safetensors`` with its tensors, ``head.json`` with everything else,
readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

import torch

from primaps.config import differences
from primaps.errors import CheckpointError
from primaps.features.weights import file_sha256
from primaps.heads.projection import ProjectionHead
from primaps.runs.store import read_json, read_tensors, remove_file, write_json, write_tensors

HeadKind = Literal["stego", "hp"]
KINDS: Final[tuple[HeadKind, ...]] = get_args(HeadKind)
LAYER: Final = "last block, after the final norm"
"""The features that every head is on top of."""

_FORMAT: Final = 1
_JSON: Final = "head.json"
_TENSORS: Final = "head.safetensors"


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier of codes that was trained with labels, beside the head; it is used in
    evaluation only.

    Attributes:
        weight: (num_classes, D) float32.
        bias: (num_classes,) float32.
    """

    weight: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True)
class Head:
    """A trained head and what is needed to apply it.

    Attributes:
        kind: "stego" or "hp".
        network: From backbone features to codes.
        backbone: What identifies the backbone it was trained on; at least ``name``. All that is
            given here has to agree with the description of the backbone that it is put on.
        size: Short side in pixels of the images it was trained on.
        centres: (K, D) float32 cluster centres in the space of codes; None if there are none.
        probe: Linear probe; None if there is none.
        weights: File with the weights of the backbone beside ``head.json``; None = wherever the
            backbone finds them.
        training: What is known about the training: settings, steps, versions; JSON values.
    """

    kind: HeadKind
    network: ProjectionHead
    backbone: Mapping[str, Any]
    size: int = 224
    centres: torch.Tensor | None = None
    probe: LinearProbe | None = None
    weights: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def check_backbone(self, description: Mapping[str, Any]) -> None:
        """Make sure that a backbone gives the features that the head was trained on.

        Args:
            description: From `FeatureExtractor.describe`.

        Raises:
            CheckpointError: If it is another one; the differences are named.
        """
        known = {key: value for key, value in description.items() if key in self.backbone}
        changed = differences(self.backbone, known)
        if description.get("dim") != self.network.in_channels:
            changed.append(f"dim: {self.network.in_channels!r} -> {description.get('dim')!r}")
        if changed:
            listed = "\n  ".join(dict.fromkeys(changed))
            raise CheckpointError(
                f"The head was trained on another backbone (trained -> given):\n  {listed}\n"
                f"Give --backbone {self.backbone.get('name')} to `primaps segment`, with its"
                " original weights, or take a head of this backbone."
            )


def save_head(folder: Path, head: Head, metadata: Mapping[str, str] | None = None) -> None:
    """Write a head; the JSON last, as the sign that both files are complete.

    Args:
        folder: Made if it does not exist; a head in it is replaced.
        head: The head.
        metadata: What the header of the tensors says.

    Raises:
        OutputError: If the folder cannot be written.
    """
    tensors = {f"network.{name}": value for name, value in head.network.state_dict().items()}
    if head.centres is not None:
        tensors["centres"] = head.centres
    if head.probe is not None:
        tensors |= {"probe.weight": head.probe.weight, "probe.bias": head.probe.bias}
    remove_file(folder / _JSON)
    write_tensors(folder / _TENSORS, tensors, metadata)
    record = {
        "format": _FORMAT,
        "kind": head.kind,
        "in_channels": head.network.in_channels,
        "dim": head.network.dim,
        "nonlinear": head.network.hidden is not None,
        "dropout": head.network.dropout.p,
        "num_clusters": None if head.centres is None else len(head.centres),
        "probe_classes": None if head.probe is None else len(head.probe.bias),
        "backbone": dict(head.backbone),
        "layer": LAYER,
        "size": head.size,
        "weights": head.weights,
        "sha256": file_sha256(folder / _TENSORS),
        "training": dict(head.training),
    }
    write_json(folder / _JSON, record)


def load_head(folder: Path) -> Head:
    """Read a head; every tensor and every shape has to be as the JSON says.

    Args:
        folder: Written by `save_head`.

    Returns:
        The head, in evaluation mode, on the CPU, without gradients.

    Raises:
        CheckpointError: If there is none, or it is damaged or incomplete.
    """
    record = head_record(folder)
    if file_sha256(folder / _TENSORS) != record["sha256"]:
        raise CheckpointError(
            f"Expected {folder / _TENSORS} to be the file that {_JSON} describes, but its checksum"
            " is another one. It is damaged or was exchanged: import or train the head again."
        )
    tensors = read_tensors(folder / _TENSORS)
    dim = record["dim"]
    # Without drawing random weights: all of them are replaced.
    with torch.device("meta"):
        network = ProjectionHead(record["in_channels"], dim, record["nonlinear"], record["dropout"])
    wanted = {f"network.{name}": tuple(value.shape) for name, value in network.state_dict().items()}
    if record["num_clusters"] is not None:
        wanted["centres"] = (record["num_clusters"], dim)
    if record["probe_classes"] is not None:
        wanted |= {
            "probe.weight": (record["probe_classes"], dim),
            "probe.bias": (record["probe_classes"],),
        }
    changed = differences(wanted, {name: tuple(value.shape) for name, value in tensors.items()})
    if changed:
        listed = "\n  ".join(changed)
        raise CheckpointError(
            f"The tensors in {folder / _TENSORS} are not those of {_JSON} (expected -> found):\n "
            f" {listed}"
        )
    state = {
        name.removeprefix("network."): value
        for name, value in tensors.items()
        if name.startswith("network.")
    }
    network.load_state_dict(state, strict=True, assign=True)
    probe = (
        LinearProbe(tensors["probe.weight"], tensors["probe.bias"])
        if "probe.weight" in tensors
        else None
    )
    return Head(
        record["kind"],
        network.requires_grad_(requires_grad=False).eval(),
        record["backbone"],
        record["size"],
        tensors.get("centres"),
        probe,
        record["weights"],
        record["training"],
    )


def head_record(folder: Path) -> dict[str, Any]:
    """What ``head.json`` says, checked.

    Raises:
        CheckpointError: If there is no head, or its description is damaged or of another format.
    """
    path = folder / _JSON
    if not path.is_file() or not (folder / _TENSORS).is_file():
        raise CheckpointError(
            f"Expected a head ({_JSON} and {_TENSORS}) in {folder}, but found none. Train one with"
            " `primaps head`, or import one with `primaps head import`."
        )
    record = read_json(path)
    if record.get("format") != _FORMAT:
        raise CheckpointError(
            f"Expected {path} to describe a head of format {_FORMAT}, but got"
            f" {record.get('format')!r}. Import or train it again, or use the version of primaps"
            " that wrote it."
        )
    for key, (kind, limits) in _FIELDS.items():
        value = record.get(key, _MISSING)
        # A truth value is a number in Python, but not in a description.
        fits = isinstance(value, kind) and (bool in kind or not isinstance(value, bool))
        if not fits or (
            limits is not None
            and isinstance(value, int | float)
            and not limits[0] <= value <= limits[1]
        ):
            found = "nothing" if value is _MISSING else repr(value)[:80]
            raise CheckpointError(
                f"Expected {path} to give a usable {key!r}, but got {found}. Import or train the"
                " head again."
            )
    if (
        record["kind"] not in KINDS
        or record["layer"] != LAYER
        or not isinstance(record["backbone"].get("name"), str)
    ):
        raise CheckpointError(
            f"Expected {path} to describe a head of kind {' or '.join(KINDS)} on features of the"
            f" {LAYER}, with the name of its backbone, but got kind {record['kind']!r}, layer"
            f" {record['layer']!r}, backbone {record['backbone']!r}."
        )
    if record["weights"] is not None and not _is_file_name(record["weights"]):
        raise CheckpointError(
            f"Expected 'weights' in {path} to name a file beside it, but got {record['weights']!r}."
        )
    return record


def _is_file_name(text: str) -> bool:
    return Path(text).name == text and text not in {"", ".."} and text.isprintable()


_MISSING: Final = object()
_COUNT: Final = (1, 2**20)  # far above any network's, so that shapes can be made of them
# types, smallest and largest value
_FIELDS: Final[Mapping[str, tuple[tuple[type, ...], tuple[float, float] | None]]] = {
    "kind": ((str,), None),
    "in_channels": ((int,), _COUNT),
    "dim": ((int,), _COUNT),
    "nonlinear": ((bool,), None),
    "dropout": ((int, float), (0.0, 1.0 - 2**-53)),
    "num_clusters": ((int, type(None)), _COUNT),
    "probe_classes": ((int, type(None)), _COUNT),
    "backbone": ((dict,), None),
    "layer": ((str,), None),
    "size": ((int,), _COUNT),
    "weights": ((str, type(None)), None),
    "sha256": ((str,), None),
    "training": ((dict,), None),
}
