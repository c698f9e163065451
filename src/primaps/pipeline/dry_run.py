"""What a command would do: how much of it is done already, and what the rest takes. Nothing is
written.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from primaps.compute.cores import usable_cores
from primaps.config import differences
from primaps.pipeline.commands import job_kind
from primaps.pipeline.failures import reported
from primaps.pipeline.features_and_proposals import features_and_proposals
from primaps.pipeline.framed import framed_photo
from primaps.pipeline.kept_store import (
    bytes_on_disk,
    feature_bytes,
    kept_views,
    note_of_size,
    size_text,
)
from primaps.pipeline.sampling import evenly
from primaps.runs.run import Run, cached_views
from primaps.types import Failure, ImageFile

Expected = Callable[[str, int], Mapping[str, float]]
"""Seconds per stage of a job of a kind with so many images, as far as earlier jobs tell."""

_TRIED: Final = 4
"""Photographs that are timed, the first of which does not count: libraries load with it."""
_BASE: Final = 0.7e9
"""Bytes of memory of the process; measured with the default backbone."""
_EACH: Final = 0.2e9
"""Bytes of each photograph of a million pixels that is worked on at a time; likewise."""


def planned(run: Run, stages: Sequence[str], expected: Expected) -> list[str]:
    """Lines that tell it.

    Args:
        run: Its images are found, its folder is not claimed.
        stages: Of the command, as for `primaps.pipeline.open_run`.
        expected: What earlier jobs took.

    Raises:
        OutputError: If a file is there and may not be read.
    """
    run.chosen_threshold = run.chosen_threshold or run.folder.threshold
    missing = [image for image in run.images if not _is_stored(run, image)]
    classes = "proposed from them" if run.config.num_clusters is None else run.config.num_clusters
    lines = [
        f"Photographs: {len(run.images)}, {len(missing)} of them to do",
        f"Backbone:    {run.backbone!r}",
    ]
    if "fit" in stages:
        fit = run.config.fit
        lines.append(f"Classes:     {classes}, method {fit.method}, seed {run.config.seed}")
    lines.append(f"Preset:      {run.config.preset}")
    needed, root = bytes_on_disk(run, len(missing), fit="fit" in stages), run.folder.root
    free = size_text(shutil.disk_usage(_there(root)).free)
    lines += [
        f"Disk:        about {size_text(needed)} in {root} ({free} free)",
        f"Store:       {_stored(run)}",
        f"Memory:      about {size_text(_memory(run))}",
        f"Time:        {_time(run, missing, expected)}",
    ]
    large = note_of_size(run)
    return [*lines, *([] if large is None else [large]), *_refusal(run, stages)]


def _is_stored(run: Run, image: ImageFile) -> bool:
    kept, store = kept_views(run.config), run.store
    held = store.info(image.name) is not None and (not kept or store.held(image.name) >= kept)
    return held and store.is_current(image.name, image.path)


def _stored(run: Run) -> str:
    """How much of the features stays, and what it takes."""
    kept, images = run.config.store or "full", len(run.images)
    if kept == "none":
        return "none; features are removed when all is done"
    left = size_text(feature_bytes(run, images, kept_views(run.config)))
    return f"{kept}, {left} of features for all photographs"


def _refusal(run: Run, stages: Sequence[str]) -> list[str]:
    """What the folder was made with otherwise."""
    before, now = run.folder.record.get("settings", {}), run.settings()
    changed = [
        f"  {line}"
        for stage in stages
        if stage in before and (stage != "proposals" or now[stage]["threshold"] is not None)
        for line in differences(before[stage], now[stage], f"{stage}.")
    ]
    told = "Refused without --overwrite, since the folder was made with other settings:"
    return [told, *changed] if changed else []


def _memory(run: Run) -> float:
    at_a_time = usable_cores() if run.backbone.device.type == "cpu" else 1
    return _BASE + min(at_a_time, len(run.images)) * _EACH * run.config.predict.max_pixels / 1e6


def _time(run: Run, missing: Sequence[ImageFile], expected: Expected) -> str:
    if not missing:
        return "little, since all proposals are there"
    seconds = sum(expected(job_kind(run), len(missing)).values())
    if seconds:
        return f"about {_duration(seconds)}, as earlier jobs of this kind took here"
    each = _seconds_each(run, missing)
    if each is None:
        return "not known"
    at_a_time = usable_cores() if run.backbone.device.type == "cpu" else 1
    whole = each * len(missing) / min(at_a_time, len(missing))
    return f"about {_duration(whole)} for the proposals, by {_TRIED - 1} of them that were tried"


def _seconds_each(run: Run, images: Sequence[ImageFile]) -> float | None:
    """Of the proposals of one photograph, the median of some; None if none can be read."""
    threshold = run.config.proposals.threshold or run.backbone.threshold or 0.5
    failures, took = list[Failure](), list[float]()
    for index in [0, *evenly(len(images), _TRIED - 1)]:
        start = time.perf_counter()
        with reported(failures, images[index], "proposals"):
            photo = framed_photo(images[index], run.config)
            views = cached_views(run.config)
            features_and_proposals(photo, run.backbone, run.config, views, threshold)
            took.append(time.perf_counter() - start)
    rest = sorted(took[1:])
    return rest[len(rest) // 2] if rest else None


def _there(folder: Path) -> Path:
    folder = folder.absolute()
    return next(each for each in (folder, *folder.parents) if each.exists())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
