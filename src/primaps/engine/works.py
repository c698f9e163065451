"""What a worker is to do, as plain values that travel as JSON: which settings, which backbone,
where the shards are, where results go.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from primaps.config import Config, from_record
from primaps.engine.orders import Order
from primaps.errors import ProcessError
from primaps.heads.extractor import head_path
from primaps.heads.loading import reload_backbone
from primaps.outputs.label_files import read_png_info
from primaps.pipeline.extraction import extract
from primaps.pipeline.kept_store import kept_views
from primaps.pipeline.labelling import Extras, predict_new
from primaps.pipeline.overlays import write_overlays
from primaps.pipeline.predicting import claim_for_model, take_names
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import atomic_write, fingerprint, release
from primaps.types import FeatureExtractor, ImageFile, ThresholdChoice

CERTAINTY_LINE: Final = "tokens"
"""Kind of the member that holds an image's line of ``certainty.jsonl``."""

_NAMES: Final = "classes.yaml"


@dataclass(frozen=True)
class BackboneRecord:
    """How a worker loads the backbone of the command.

    Attributes:
        description: Of `FeatureExtractor.describe`.
        weights: Weights file; None = bundled or from the hub.
        head: Folder of the head; None without a head.
        device: Where it runs.
    """

    description: Mapping[str, Any]
    weights: str | None
    head: str | None
    device: str

    @classmethod
    def of(cls, backbone: FeatureExtractor, device: str) -> BackboneRecord:
        """The record of a backbone that is loaded."""
        description = json.loads(json.dumps(dict(backbone.describe())))
        return cls(description, backbone.weights_path, head_path(backbone), device)

    def load(self) -> FeatureExtractor:
        """Load it.

        Raises:
            BackboneError: If its weights cannot be had.
            CheckpointError: If the head is missing, or belongs to another backbone.
        """
        return reload_backbone(
            self.description, weights=self.weights, device=self.device, head=self.head
        )


@dataclass(frozen=True)
class Work(ABC):
    """What all workers of a command do to their shards.

    Attributes:
        place: Folder or URL of plan and attempts.
        out: Run folder that finished files are moved to; None = shards in ``place``.
        scratch: Folder on disk for what is not finished.
        config: All settings, as `primaps.config.to_dict` gives them.
        threshold: Similarity threshold in force.
        backbone: What to load.
        settings: Fingerprint that the worker's settings have to give: another version of the
            package would make other outputs.
        shard_format: What the file of a shard is, one of `primaps.shards.records.SHARD_FORMATS`.
    """

    place: str
    out: str | None
    scratch: str
    config: Mapping[str, Any]
    threshold: float | None
    backbone: BackboneRecord
    settings: str
    shard_format: str = "tar"

    def __post_init__(self) -> None:
        """Take JSON values."""
        if isinstance(self.backbone, dict):
            object.__setattr__(self, "backbone", BackboneRecord(**self.backbone))

    def order(self) -> Order:
        """The work for those who hand it out."""
        kind = type(self)
        record = {
            "kind": f"{kind.__module__}:{kind.__qualname__}",
            "values": dataclasses.asdict(self),
        }
        return Order(self.place, self.place, self.scratch, self.backbone.device, record)

    def run(self, folder: Path, backbone: FeatureExtractor, images: tuple[ImageFile, ...]) -> Run:
        """A run on some images in a folder of its own.

        Raises:
            ProcessError: If this version of the package does something else with the settings.
        """
        run = Run(RunFolder(folder), backbone, self.settings_of_run, images)
        if self.threshold is not None:
            run.chosen_threshold = ThresholdChoice(self.threshold, "given")
        found = work_settings(run)
        if found != self.settings:
            raise ProcessError(
                f"Expected a worker to have the settings of the command ({self.settings}), but got"
                f" others ({found}). Install the same version of primaps for all workers."
            )
        return run

    @cached_property
    def settings_of_run(self) -> Config:
        """All settings."""
        return from_record(self.config)

    @abstractmethod
    def make(self, run: Run) -> None:
        """Do the work on the images of a run."""

    @property
    def identity(self) -> str:
        """Fingerprint of everything besides the images that outputs depend on."""
        return fingerprint([type(self).__name__, self.settings])

    @property
    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """What there may be of an image, sorted, see `primaps.shards.records.SUFFIXES`."""

    @abstractmethod
    def files(self, run: Run, image: ImageFile) -> dict[str, Path]:
        """What was made of an image, by kind (`primaps.shards.records.Entry`), in the order in
        which it is moved; empty if nothing was made.
        """

    @abstractmethod
    def checksum(self, run: Run, image: ImageFile) -> str:
        """SHA-256 of the image file that the outputs say they were made of."""

    @abstractmethod
    def counts(self, run: Run, images: list[ImageFile]) -> dict[str, int | float]:
        """Figures of a shard, which add up over shards."""


def work_settings(run: Run) -> str:
    """Fingerprint of all settings of a run that outputs of workers depend on."""
    settings = run.settings()
    used = {key: settings.get(key) for key in ("backbone", "features", "proposals", "predict")}
    inputs = [settings.get("inputs"), [list(each) for each in run.config.inputs.ranges]]
    return fingerprint([used, inputs])


@dataclass(frozen=True)
class ProposalsWork(Work):
    """Features and mask proposals."""

    def make(self, run: Run) -> None:
        """Fill the store, and write proposals as PNG."""
        extract(run, kept_views(run.config))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Proposals, and the file of the store."""
        return ("proposals", "store")

    def files(self, run: Run, image: ImageFile) -> dict[str, Path]:
        """The file of the store, and the 16-bit PNG."""
        if run.store.info(image.name) is None:
            return {}
        return {
            "proposals": run.folder.proposals(image.name),
            # last, as the ordinary command writes it: its presence says that the image is done
            "store": run.store.path(image.name),
        }

    def checksum(self, run: Run, image: ImageFile) -> str:
        """As the store has it."""
        info = run.store.info(image.name)
        assert info is not None  # of an image that has files
        return info.sha256

    def counts(self, run: Run, images: list[ImageFile]) -> dict[str, int | float]:
        """Numbers of images and proposals, and the sum of coverages."""
        store = run.store
        infos = [info for image in images if (info := store.info(image.name)) is not None]
        return {
            "images": len(infos),
            "proposals": sum(info.num_masks for info in infos),
            "images_without_proposal": sum(info.num_masks == 0 for info in infos),
            "coverage_sum": round(sum(info.coverage for info in infos), 4),
        }


@dataclass(frozen=True)
class PredictWork(Work):
    """Label maps with a fitted model.

    Attributes:
        model: Its files by name, as base64: workers need not see the folder.
        certainty: Also ``certainty/<path>.png``.
        overlays: Also ``overlays/<path>.jpg``.
    """

    model: Mapping[str, str] = field(default_factory=dict)
    certainty: bool = False
    overlays: bool = False

    @property
    def identity(self) -> str:
        """Model and extras too."""
        wanted = [self.loaded.fingerprint, self.certainty, self.overlays]
        return fingerprint([type(self).__name__, self.settings, wanted])

    @property
    def extras(self) -> Extras:
        """What is made beside label maps."""
        return Extras(self.certainty, self.overlays)

    @cached_property
    def unpacked(self) -> Path:
        """The model's folder, in the scratch folder."""
        root = Path(self.scratch) / f"model-{fingerprint(dict(self.model))}"
        for name, content in self.model.items():
            if not (root / name).exists():
                atomic_write(root / name, base64.b64decode(content))
        return root

    @cached_property
    def loaded(self) -> Model:
        """The model."""
        return Model.load(self.unpacked)

    def make(self, run: Run) -> None:
        """Write label maps, and what is wanted beside them."""
        take_names(run, self.loaded, self.unpacked)
        predict_new(run, self.loaded, self.extras)
        if self.overlays:
            run.folder.record["config"] = dict(self.config)
            claim_for_model(run, self.loaded, overwrite=True)
            write_overlays(run, self.loaded.fingerprint)
            release(run.folder.root)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Label maps with their certainties, and what was asked for beside them."""
        asked = {"certainty": self.certainty, "overlay": self.overlays}
        extras = (kind for kind, is_asked in asked.items() if is_asked)
        return tuple(sorted(("labels", CERTAINTY_LINE, *extras)))

    def files(self, run: Run, image: ImageFile) -> dict[str, Path]:
        """The label map, and what was asked for beside it."""
        folder = run.folder
        wanted = {"labels": folder.labels(image.name)}
        if self.certainty:
            wanted["certainty"] = folder.certainty(image.name)
        if self.overlays:
            wanted["overlay"] = folder.overlay(image.name)
        there = {kind: path for kind, path in wanted.items() if path.exists()}
        return there if "labels" in there else {}

    def checksum(self, run: Run, image: ImageFile) -> str:
        """As the header of the label map has it."""
        return read_png_info(run.folder.labels(image.name))["image"]

    def counts(self, run: Run, images: list[ImageFile]) -> dict[str, int | float]:
        """Number of label maps."""
        return {"label_maps": sum(run.folder.labels(image.name).exists() for image in images)}


def model_files(folder: Path) -> dict[str, str]:
    """The files of a model and its names, as base64.

    Args:
        folder: Of the model, or of its run.
    """
    own = folder if (folder / "model.json").exists() else folder / "model"
    files = {name: own / name for name in ("model.json", "prototypes.safetensors")}
    for beside in (own.parent, own):
        if (beside / _NAMES).exists():
            files[_NAMES] = beside / _NAMES
    return {
        name: base64.b64encode(path.read_bytes()).decode("ascii") for name, path in files.items()
    }
