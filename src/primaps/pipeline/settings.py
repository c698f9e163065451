"""Which settings and backbone a command works with: those given, those that an earlier version left
on record, the defaults.

Defaults change between versions. A run folder that an earlier one made goes on with its own
wherever the user gives nothing else, so that the command that made it resumes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from primaps.config import (
    GENERATION,
    Config,
    InputConfig,
    differences,
    from_record,
    part_from_record,
    preset_config,
    to_dict,
    with_settings,
)
from primaps.features.registry import start_for
from primaps.heads.loading import backbone_name, load_backbone, reload_backbone
from primaps.progress import Progress
from primaps.runs.run import RunFolder
from primaps.types import FeatureExtractor


@dataclass(frozen=True)
class EarlierRun:
    """What is on record in a run folder that was made with earlier defaults.

    Attributes:
        config: All settings.
        backbone: Description of the backbone, and of the head if there is one.
        weights: Weights file of the backbone; None = bundled or from the hub.
        head: Folder of the head; None without a head.
    """

    config: Config
    backbone: Mapping[str, Any]
    weights: str | None
    head: str | None


def earlier_run(out: Path) -> EarlierRun | None:
    """What is on record in a folder of an earlier generation of defaults; None for new folders and
    those of this generation.

    Raises:
        ConfigError: If the folder is no usable path, or a setting on record is unknown.
        CheckpointError: If its ``run.json`` is damaged or foreign.
    """
    folder = RunFolder(out)
    record = folder.record
    if folder.generation is None or folder.generation >= GENERATION or "config" not in record:
        return None
    backbone = record.get("settings", {}).get("backbone")
    if backbone is None:
        return None
    return EarlierRun(
        from_record(record["config"]), backbone, record.get("weights"), record.get("head")
    )


def preset_for(preset: str, backbone: str, *, auto: bool = False) -> Config:
    """The settings of a preset with features of a backbone: where proposals are a start, some
    backbones have a better one.

    Args:
        preset: See `primaps.config.preset_config`.
        backbone: Its name.
        auto: The number of classes is proposed, which is one of clusters of proposals: classes
            start from these then.

    Raises:
        ConfigError: If the preset is unknown.
    """
    config = preset_config(preset)
    if auto or config.fit.initialise != "proposals":
        return config
    return dataclasses.replace(
        config, fit=dataclasses.replace(config.fit, initialise=start_for(backbone))
    )


def settings_for(
    out: Path,
    defaults: Config,
    given: Mapping[str, Any],
    progress: Progress,
    *,
    preset: str | None = None,
) -> Config:
    """The settings of a command that writes into a run folder.

    Args:
        out: The run folder.
        defaults: Settings where neither the user nor an earlier run says anything.
        given: What the user gave, as for `primaps.config.with_settings`.
        progress: Is told where settings are taken from an earlier run.
        preset: Name of the preset if the user gave one; another one than the folder was made with
            counts for all it sets.

    Raises:
        ConfigError: If a value is out of range, or the folder is no usable path.
        CheckpointError: If its ``run.json`` is damaged or foreign.
    """
    config, earlier = with_settings(defaults, given), earlier_run(out)
    if defaults.inputs == InputConfig():  # those of a model go before those of the folder
        config = dataclasses.replace(config, inputs=_kept_inputs(out, config.inputs, given))
    if earlier is None or preset not in {None, earlier.config.preset}:
        return config
    kept = with_settings(earlier.config, given)
    changed = "".join(f"\n  {line}" for line in differences(to_dict(config), to_dict(kept)))
    progress.note(
        f"{out} was made by an earlier version, which had other defaults. It goes on with the"
        " settings on its record wherever you gave"
        f" none{' (default of this version -> kept):' + changed if changed else '.'}\nFor the"
        " defaults of this version choose another --out."
    )
    return kept


def _kept_inputs(out: Path, wanted: InputConfig, given: Mapping[str, Any]) -> InputConfig:
    """How files become photographs: as the folder's first run did, where nothing else is given."""
    known = RunFolder(out).record.get("config", {}).get("inputs")
    if known is None:
        return wanted
    values = {key: value for key, value in known.items() if key != "ranges"}
    changed = {
        name.removeprefix("inputs."): value
        for name, value in given.items()
        if name.startswith("inputs.")
    }
    kept: InputConfig = part_from_record("inputs", {**values, **changed})
    return kept


def backbone_for(
    out: Path | None,
    name: str | None,
    progress: Progress,
    *,
    weights: str | Path | None = None,
    head: str | Path | None = None,
    head_dropout: bool = False,
    levels: str | None = None,
    device: str | torch.device = "auto",
) -> FeatureExtractor:
    """The backbone of a command that writes into a run folder, or of one that has none.

    Args:
        out: The run folder; None without one.
        name: Of the backbone, if the user gave one.
        progress: Is told if the backbone is taken from an earlier run.
        weights: Weights file, likewise.
        head: Folder of the head, likewise.
        head_dropout: See `primaps.heads.loading.load_backbone`.
        levels: Likewise, if the user gave some.
        device: Where it runs.

    Raises:
        BackboneError: If the name is unknown, or the weights cannot be had.
        CheckpointError: If the head cannot be read, or belongs to another backbone.
        ConfigError: If the device is not available.
    """
    earlier = None if out is None else earlier_run(out)
    if earlier is not None and name is None and head is None:
        name = str(earlier.backbone["name"])
        progress.note(f"Backbone: {name}, as on record in {out}.")
    wanted = backbone_name(name, head)
    if earlier is None or wanted != earlier.backbone["name"]:
        return load_backbone(
            wanted,
            weights=weights,
            device=device,
            head=head,
            head_dropout=head_dropout,
            levels=levels,
        )
    weights, head = weights or earlier.weights, head or earlier.head
    if head_dropout and "head" not in earlier.backbone:
        return load_backbone(
            wanted, weights=weights, device=device, head=head, head_dropout=True, levels=levels
        )
    description = (
        dict(earlier.backbone) if levels is None else {**earlier.backbone, "levels": levels}
    )
    if head_dropout:
        description["head"] = {**description["head"], "inference_dropout": True}
    return reload_backbone(description, weights=weights, device=device, head=head)
