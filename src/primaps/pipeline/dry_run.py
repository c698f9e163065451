"""What a command would do: how much of it is done already, and what the rest takes. Nothing is
written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from primaps.compute.cores import usable_cores
from primaps.config import differences
from primaps.pipeline.commands import job_kind
from primaps.pipeline.dry_run_of_fit import fit_seconds, has_model
from primaps.pipeline.estimates import BASE_MEMORY, disk_line, duration, tried
from primaps.pipeline.features_and_proposals import features_and_proposals
from primaps.pipeline.framed import framed_photo
from primaps.pipeline.kept_store import (
    bytes_on_disk,
    feature_bytes,
    kept_views,
    note_of_size,
    size_text,
)
from primaps.runs.run import Run, cached_views
from primaps.types import ImageFile

Expected = Callable[[str, int], Mapping[str, float]]
"""Seconds per stage of a job of a kind with so many images, as far as earlier jobs tell."""

_EACH: Final = 0.2e9
"""Bytes of each photograph of a million pixels that is worked on at a time; likewise."""


def planned(run: Run, stages: Sequence[str], expected: Expected, began: float) -> list[str]:
    """Lines that tell it.

    Args:
        run: Its images are found, its folder is not claimed.
        stages: Of the command, as for `primaps.pipeline.open_run`.
        expected: What earlier jobs took.
        began: `time.perf_counter` when the program began, since its start takes time too.

    Raises:
        OutputError: If a file is there and may not be read.
    """
    start = time.perf_counter() - began
    run.chosen_threshold = run.chosen_threshold or run.folder.threshold
    missing = not_stored(run, run.images)
    classes = "proposed from them" if run.config.num_clusters is None else run.config.num_clusters
    lines = [
        f"Photographs: {len(run.images)}, {len(missing)} of them to do",
        f"Backbone:    {run.backbone!r}",
    ]
    if "fit" in stages:
        fit = run.config.fit
        lines.append(f"Classes:     {classes}, method {fit.method}, seed {run.config.seed}")
    lines.append(f"Preset:      {run.config.preset}")
    lines += [
        disk_line(bytes_on_disk(run, len(missing), fit="fit" in stages), run.folder.root),
        f"Store:       {_stored(run)}",
        f"Memory:      about {size_text(_memory(run))}",
        f"Time:        {_time(run, missing, expected, stages, start)}",
    ]
    large = note_of_size(run)
    return [*lines, *([] if large is None else [large]), *refusal(run, stages)]


def not_stored(run: Run, images: Sequence[ImageFile]) -> list[ImageFile]:
    """The images whose features and proposals are not there, or not those of the present file."""
    return [image for image in images if not _is_stored(run, image)]


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


def refusal(run: Run, stages: Sequence[str]) -> list[str]:
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
    return (
        BASE_MEMORY + min(at_a_time, len(run.images)) * _EACH * run.config.predict.max_pixels / 1e6
    )


def _time(
    run: Run,
    missing: Sequence[ImageFile],
    expected: Expected,
    stages: Sequence[str],
    start: float,
) -> str:
    images = [] if missing or "fit" not in stages else run.usable_images()
    if images and not has_model(run, images, run.folder.model):
        seconds = start + fit_seconds(run, images)
        return f"about {duration(seconds)} for the fit; all proposals are there"
    if not missing:
        return "little, since all proposals are there"
    each, found = tried(run, missing, lambda image: try_proposals(run, image))
    if not found:
        return "not known, since none of those that were tried could be used"
    basis, before = f"{len(found)} of them that were tried", expected(job_kind(run), len(missing))
    seconds = start + each * len(missing)
    if before.get("proposals"):  # of photographs of another size, perhaps
        whole = start + sum(before.values()) * each * len(missing) / before["proposals"]
        return f"about {duration(whole)}, by {basis} and an earlier job of this kind"
    return f"about {duration(seconds)} for the proposals, by {basis}"


def try_proposals(run: Run, image: ImageFile) -> int:
    """Number of proposals of one photograph, of which nothing is written."""
    threshold = run.config.proposals.threshold or run.backbone.threshold or 0.5
    photo, views = framed_photo(image, run.config), cached_views(run.config)
    _, proposals = features_and_proposals(photo, run.backbone, run.config, views, threshold)
    return proposals.num_masks
