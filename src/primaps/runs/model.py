"""A fitted model on disk: prototypes as safetensors, everything else as readable JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from primaps.config import (
    IMPLIED,
    InputConfig,
    PredictConfig,
    comparable,
    differences,
    input_side,
    part_from_record,
    preset_config,
)
from primaps.errors import CheckpointError, ConfigError, OutputError
from primaps.runs.records import (
    check_record,
    is_count,
    is_mapping,
    is_number,
    is_text,
    is_truth,
    list_of,
    maybe,
    with_keys,
)
from primaps.runs.store import read_json, read_tensors, write_json, write_tensors
from primaps.types import FitResult

if TYPE_CHECKING:
    import torch

_FORMAT = 1
_ADVICE = "The model is damaged: fit again, or put a copy of it back."
_EXPECTED = {
    "num_clusters": is_count,
    "cosine": is_truth,
    "dead_clusters": list_of(is_count),
    "backbone": with_keys({"name": is_text, "dim": is_count}, ("name",)),
    "weights": maybe(is_text),
    "head": maybe(is_text),
    "size": is_count,
    "max_enlargement": maybe(is_count),
    "predict": maybe(is_mapping),
    "inputs": maybe(is_mapping),
    "settings": is_mapping,
    "losses": list_of(is_number),
    "fingerprint": is_text,
}
_NEEDED = ("cosine", "losses", "weights", "settings", "fingerprint", "backbone", "size")


@dataclass(frozen=True)
class Model:
    """Prototypes and what is needed to apply them.

    Attributes:
        fit: The fitted prototypes.
        backbone: Description of the backbone whose features they were fitted to.
        weights: Weights file the backbone was loaded from; None = bundled or from the hub.
        size: Short side of the backbone's input in pixels.
        settings: Settings of the fit, for the record.
        fingerprint: Changes when anything that determined the prototypes changes.
        head: Folder of the head on top of the backbone; None without a head.
        predict: How the run that fitted them made label maps; None = they come from no run.
        max_enlargement: See `primaps.config.FeatureConfig`.
        inputs: How files became photographs in it; None likewise.
    """

    fit: FitResult
    backbone: Mapping[str, Any]
    weights: str | None
    size: int
    settings: Mapping[str, Any]
    fingerprint: str
    head: str | None = None
    predict: PredictConfig | None = None
    max_enlargement: int | None = None
    inputs: InputConfig | None = None

    def side(self, image: tuple[int, int]) -> int:
        """Short side of the backbone's input for an image of (height, width)."""
        return input_side(self.size, self.max_enlargement, image)

    @property
    def num_clusters(self) -> int:
        """K."""
        return len(self.fit.teacher)

    @property
    def prototypes(self) -> torch.Tensor:
        """(K, C) float32 prototypes that label maps are made with: the teacher's."""
        return self.fit.teacher

    def save(self, folder: Path, metadata: Mapping[str, str] | None = None) -> None:
        """Write ``prototypes.safetensors`` and ``model.json``; the JSON last, as the sign that both
        are complete.

        Args:
            folder: Made if it does not exist; a model in it is replaced.
            metadata: What the header of the tensors says.

        Raises:
            OutputError: If the folder cannot be written.
        """
        tensors = {
            "teacher": self.fit.teacher,
            "student": self.fit.student,
            "usage": self.fit.usage,
        }
        try:
            (folder / "model.json").unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"Expected {folder} to be a folder that can be written, but got: {error}. Choose"
                " another folder."
            ) from error
        write_tensors(folder / "prototypes.safetensors", tensors, metadata)
        write_json(
            folder / "model.json",
            {
                "format": _FORMAT,
                "num_clusters": self.num_clusters,
                "cosine": self.fit.cosine,
                "dead_clusters": list(self.fit.dead_clusters),
                "backbone": dict(self.backbone),
                "weights": relative_to(self.weights, folder),
                "head": relative_to(self.head, folder),
                "size": self.size,
                "max_enlargement": self.max_enlargement,
                "predict": _recorded(self.predict),
                **_recorded_inputs(self.inputs),
                "settings": dict(self.settings),
                "losses": [round(loss, 6) for loss in self.fit.losses],
                "fingerprint": self.fingerprint,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read a model from its folder, or from a run's folder.

        Raises:
            CheckpointError: If there is no model, or it is damaged.
        """
        if not (folder / "model.json").exists() and (folder / "model" / "model.json").exists():
            folder /= "model"
        if not (folder / "model.json").exists():
            raise CheckpointError(
                f"Expected a fitted model (model.json and prototypes.safetensors) in {folder} or"
                f" {folder / 'model'}, but found none. Run `primaps segment` or `primaps fit`"
                " first."
            )
        record = read_json(folder / "model.json")
        if record.get("format") != _FORMAT:
            raise CheckpointError(
                f"Expected {folder / 'model.json'} to describe a model of format {_FORMAT}, but got"
                f" {record.get('format')!r}. Fit again, or use the version of primaps that"
                " wrote it."
            )
        tensors = read_tensors(folder / "prototypes.safetensors")
        check_record(record, _EXPECTED, folder / "model.json", _ADVICE, _NEEDED)
        _check_tensors(tensors, record, folder)
        try:
            fit = FitResult(
                tensors["teacher"],
                tensors["student"],
                bool(record["cosine"]),
                tensors["usage"],
                tuple(record["losses"]),
            )
            weights, head = _found(record["weights"], folder), _found(record.get("head"), folder)
            settings, identity = record["settings"], record["fingerprint"]
            known = record.get("inputs")
            return cls(
                fit,
                record["backbone"],
                weights,
                record["size"],
                settings,
                identity,
                head,
                _predict_settings(record, folder),
                record.get("max_enlargement"),
                None if known is None else part_from_record("inputs", known),
            )
        except ConfigError as error:
            raise CheckpointError(
                f"Expected usable settings in {folder / 'model.json'}. {error} {_ADVICE}"
            ) from error

    def note_predict(
        self, predict: PredictConfig, folder: Path, inputs: InputConfig | None = None
    ) -> Model:
        """Record other settings of label maps and of reading files with a model on disk, whose
        prototypes are left alone.

        Raises:
            CheckpointError: If ``model.json`` cannot be read.
            OutputError: If it cannot be written.
        """
        record = read_json(folder / "model.json")
        check_record(record, _EXPECTED, folder / "model.json", _ADVICE, _NEEDED)
        changed = {**record, "predict": _recorded(predict), **_recorded_inputs(inputs)}
        if record != json.loads(json.dumps(changed)):
            write_json(folder / "model.json", changed)
        return dataclasses.replace(self, predict=predict, inputs=inputs)

    def check_backbone(self, description: Mapping[str, Any]) -> None:
        """Make sure that a backbone gives the features that the prototypes were fitted to.

        Raises:
            CheckpointError: If it is another one; the differences are named.
        """
        changed = differences(self.backbone, description)
        if changed:
            listed = "\n  ".join(changed)
            raise CheckpointError(
                f"The model was fitted to another backbone (fitted -> given):\n  {listed}\nGive the"
                " original weights."
            )


def _check_tensors(tensors: Mapping[str, torch.Tensor], record: Any, folder: Path) -> None:
    """Make sure that there are K finite prototypes of one length, and K counts.

    Raises:
        CheckpointError: If not.
    """
    number = record.get("num_clusters")
    path = folder / "prototypes.safetensors"
    for name in ("teacher", "student", "usage"):
        if name not in tensors:
            raise CheckpointError(
                f"Expected {path} to be complete, but {name!r} is missing. {_ADVICE}"
            )
    rows = tensors["teacher"].shape
    usage = tensors["usage"]
    fits = (
        len(rows) == 2
        and tensors["student"].shape == rows
        and usage.shape == rows[:1]
        and not usage.is_floating_point()
        and number in {None, rows[0]}
        and all(
            tensors[name].is_floating_point() and bool(tensors[name].isfinite().all())
            for name in ("teacher", "student")
        )
    )
    if not fits:
        shapes = ", ".join(
            f"{name} {tuple(each.shape)} {each.dtype}" for name, each in sorted(tensors.items())
        )
        raise CheckpointError(
            f"Expected {path} to hold finite prototypes of {number or 'some'} clusters, but got"
            f" {shapes}. {_ADVICE}"
        )


def _recorded(predict: PredictConfig | None) -> dict[str, Any] | None:
    return None if predict is None else comparable(predict, "predict")


def _recorded_inputs(inputs: InputConfig | None) -> dict[str, Any]:
    """What is not the usual way of reading files; nothing if all is."""
    recorded = {} if inputs is None else comparable(inputs, "inputs")
    return {"inputs": recorded} if recorded else {}


def _predict_settings(record: Mapping[str, Any], folder: Path) -> PredictConfig | None:
    """On record with the model. Those of earlier versions: in the record of the run that they lie
    in, else their preset's.
    """
    known, run = record.get("predict"), folder.parent / "run.json"
    if "predict" not in record:
        if folder.name == "model" and run.exists():
            known = read_json(run).get("config", {}).get("predict")
        if known is None:
            preset = preset_config(str(record.get("settings", {}).get("preset", "default"))).predict
            known = {
                key: value for key, value in vars(preset).items() if f"predict.{key}" not in IMPLIED
            }
    predict: PredictConfig | None = None if known is None else part_from_record("predict", known)
    return predict


def relative_to(path: str | None, folder: Path) -> str | None:
    """What lies in the model's folder is recorded relative to it, so that the folder can be moved
    as a whole.
    """
    if (
        path is None
        or not Path(path).is_absolute()
        or not Path(path).is_relative_to(folder.absolute())
    ):
        return path
    return str(Path(path).relative_to(folder.absolute()))


def _found(path: str | None, folder: Path) -> str | None:
    """The inverse of `relative_to`."""
    if path is None or Path(path).is_absolute() or not (folder / path).exists():
        return path
    return str((folder / path).absolute())
