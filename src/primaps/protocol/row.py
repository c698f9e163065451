"""What makes up a row of the table."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from primaps.config import Config, FitConfig, did_you_mean
from primaps.errors import ConfigError
from primaps.evaluation.probe import STEPS
from primaps.features.preprocess import input_size
from primaps.heads.extractor import head_centres, head_kind
from primaps.heads.files import KINDS, HeadKind
from primaps.pipeline.settings import preset_for
from primaps.protocol.packaged import row_text
from primaps.runs.run import cached_views
from primaps.types import FeatureExtractor

RowMethod = Literal["em", "clusters", "baseline", "head"]
Select = Literal["last", "agreement", "oracle"]
SELECTIONS: Final[tuple[Select, ...]] = get_args(Select)
MAX_SNAPSHOTS: Final = 50


@dataclass(frozen=True)
class Row:
    """A row: everything that determines its scores, but where the files lie.

    Attributes:
        dataset: Name of a data set.
        backbone: Name of a backbone.
        method: "em", "clusters", "baseline", or "head": the cluster centres of a head alone,
            without any fit.
        levels: Levels of a hierarchical backbone, as `primaps.load_backbone` takes them; None = the
            usual ones.
        head: Kind of the head that the backbone carries, "stego" or "hp"; None = not said.
        preset: "default", "paper" or "fast".
        train_split: Split that prototypes are fitted to, without labels.
        split: Split that is measured.
        size: Side of the centre crop before rounding to the multiple that the backbone needs, in
            pixels; None = the preset's.
        clusters: Number of clusters; None = as many as classes.
        seeds: Fits, with seeds 0, 1, ...
        select: Which prototypes of a fit are measured: the "last", those that are most stable
            without labels ("agreement"), or those with the best score on the measured labels
            ("oracle").
        limit: At most this many images of each split, for a trial; None = all.
        probe_steps: Steps of the linear probe.
        fit: Fields of `FitConfig` that differ from the preset.
    """

    dataset: str
    backbone: str
    method: RowMethod = "em"
    levels: str | None = None
    head: HeadKind | None = None
    preset: str = "default"
    train_split: str | None = "train"
    split: str | None = "val"
    size: int | None = None
    clusters: int | None = None
    seeds: int = 1
    select: Select = "last"
    limit: int | None = None
    probe_steps: int = STEPS
    fit: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check ranges and names.

        Raises:
            ConfigError: If a value is out of range.
        """
        names: list[tuple[str, str, tuple[str, ...]]] = [
            ("--method", self.method, get_args(RowMethod)),
            ("--select", self.select, SELECTIONS),
        ]
        names += [] if self.head is None else [("the kind of the head", self.head, KINDS)]
        for name, value, known in names:
            if value not in known:
                raise ConfigError(
                    f"Expected {name} to be one of {', '.join(known)}, but got"
                    f" {value!r}.{did_you_mean(value, list(known))}"
                )
        if self.method == "head" and (self.seeds != 1 or self.select != "last"):
            raise ConfigError(
                "Expected --seeds 1 and --select last with --method head, which fits nothing, but"
                f" got --seeds {self.seeds} and --select {self.select}. Leave them out."
            )
        for name, number in (("--seeds", self.seeds), ("--limit", self.limit)):
            if number is not None and number < 1:
                raise ConfigError(f"Expected {name} to be 1 or more, but got {number}.")
        known_fields = [entry.name for entry in dataclasses.fields(FitConfig)]
        for key in self.fit:
            if key not in known_fields:
                raise ConfigError(f"Unknown setting 'fit.{key}'.{did_you_mean(key, known_fields)}")

    @property
    def name(self) -> str:
        """Short name: data set, backbone, kind of the head if it is said, method."""
        backbone = self.backbone.replace(":", "-").replace("/", "-")
        return "-".join(filter(None, (self.dataset, backbone, self.head, self.method)))

    def config(self, backbone: FeatureExtractor, num_classes: int, num_images: int) -> Config:
        """All settings of the fits.

        Args:
            backbone: What its inputs are multiples of decides about the side of the crop: 320, or
                322 for patches of 14.
            num_classes: Classes of the data set.
            num_images: Training images, for the distance of snapshots.

        Raises:
            ConfigError: If there are fewer clusters than classes, not as many as the head has
                cluster centres, the head is of another kind or has no cluster centres to be
                measured, there are no views to select by, or a setting is out of range.
        """
        self._check_head(backbone)
        clusters = num_classes if self.clusters is None else self.clusters
        if clusters < num_classes:
            raise ConfigError(
                f"Expected at least as many clusters as the {num_classes} classes of"
                f" {self.dataset}, but got {clusters}. Leave --clusters out, or give more of them"
                " (overclustering)."
            )
        base = preset_for(self.preset, self.backbone)
        size = base.features.size if self.size is None else self.size
        side = input_size(size, size, size, backbone.input_multiple)[0]
        chosen = base.fit.with_method("baseline" if self.method == "head" else self.method)
        fit = dataclasses.replace(
            chosen,
            **{**_start(backbone, clusters, self.method), **self.fit, "method": chosen.method},
        )
        config = dataclasses.replace(
            base,
            num_clusters=clusters,
            features=dataclasses.replace(base.features, size=side, framing="centre-crop"),
            fit=dataclasses.replace(fit, checkpoint_every=snapshot_distance(fit, num_images)),
        )
        if self.select == "agreement" and len(cached_views(config)) == 1:
            raise ConfigError(
                "Expected a preset that keeps other views of the images, in which --select"
                f" agreement compares the classes, but {self.preset} keeps the plain one only. Give"
                " --preset paper, or leave --select out."
            )
        return config

    def _check_head(self, backbone: FeatureExtractor) -> None:
        """The backbone carries the head that the row is about."""
        kind = head_kind(backbone)
        if self.head is not None and kind != self.head:
            carried = "no head" if kind is None else f"a head of kind {kind}"
            raise ConfigError(
                f"Expected a backbone with a head of kind {self.head} for row {self.name}, but it"
                f" carries {carried}."
            )
        if self.method == "head" and head_centres(backbone) is None:
            raise ConfigError(
                "Expected a head with cluster centres, which --method head measures, but there is"
                " none. Give --head DIR with a head that was trained or imported with its cluster"
                " centres."
            )


def _start(backbone: FeatureExtractor, clusters: int, method: RowMethod) -> dict[str, Any]:
    """EM on a head starts from its cluster centres, as in the publication, if it has some."""
    centres = head_centres(backbone)
    if centres is None or method == "baseline":
        return {}
    if len(centres) != clusters:
        raise ConfigError(
            f"Expected as many clusters as the head has cluster centres, {len(centres)}, but got"
            f" {clusters}. Take a head that was fitted on this data set, or give --clusters."
        )
    return {"initialise": "head"} if method == "em" else {}


def snapshot_distance(fit: FitConfig, num_images: int) -> int:
    """Steps between two snapshots: an epoch, or more if there would be more than
    `MAX_SNAPSHOTS`.
    """
    return max(
        fit.steps_per_epoch(num_images), math.ceil(fit.main_steps(num_images) / MAX_SNAPSHOTS)
    )


def read_row(name: str) -> Row:
    """A row that comes with the package.

    Raises:
        ConfigError: If there is none of this name.
    """
    return parse_row(row_text(name), name)


def parse_row(text: str, name: str) -> Row:
    """A row from TOML.

    Args:
        text: Fields of `Row`.
        name: For messages.

    Raises:
        ConfigError: If it is no TOML, a key is unknown or missing, or a value is out of range.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"Expected row {name} to be TOML, but got: {error}.") from error
    fields = [entry.name for entry in dataclasses.fields(Row)]
    for key in values:
        if key not in fields:
            raise ConfigError(
                f"Unknown setting {key!r} in row {name}.{did_you_mean(key, fields)} Known:"
                f" {', '.join(fields)}."
            )
    missing = {"dataset", "backbone"} - values.keys()
    if missing:
        raise ConfigError(
            f"Expected row {name} to name its {' and '.join(sorted(missing))}, but it does not."
        )
    return Row(**values)
