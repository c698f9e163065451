"""The report of a run: which pictures to show, gathered from what lies in the run folder."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primaps.data.reading import read_photo
from primaps.errors import ImageError
from primaps.features.levels import DEFAULT_STRIDES
from primaps.features.registry import find_spec
from primaps.outputs.label_files import read_label_image, read_png_info
from primaps.outputs.report import (
    ClassSummary,
    ImagePanel,
    Report,
    class_example,
    image_panel,
    write_report,
)
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.threshold import as_record
from primaps.runs.model import Model
from primaps.runs.run import Run, versions
from primaps.types import IGNORE_INDEX, Failure, FitCurves, Image, ImageFile, ThresholdChoice

MAX_PANELS = 40
EXAMPLES_PER_CLASS = 3
PICTURE_PIXELS = 250_000
_USUAL_LEVELS = ",".join(map(str, DEFAULT_STRIDES))


def write_run_report(
    run: Run, model: Model, inputs: Sequence[str], curves: FitCurves | None = None
) -> None:
    """Write ``report.html`` for the label maps in the run folder.

    Args:
        run: The run.
        model: Its model.
        inputs: What the user gave as IMAGES.
        curves: What changed over the fit; None leaves it out.

    Raises:
        OutputError: If it cannot be written.
    """
    images, stale = labelled_images(run, model)
    labels = NamedLabels(run.folder.root)
    pixels = labels.pixels([image.name for image in images])
    shown = evenly(len(images), MAX_PANELS)
    pictures, panels = _pictures(
        run, labels, images, best_examples(pixels, EXAMPLES_PER_CLASS), shown
    )
    share = pixels.sum(axis=0) / max(1, pixels.sum())
    classes = [
        ClassSummary(
            entry.id,
            entry.name,
            float(share[entry.id]),
            int(np.count_nonzero(pixels[:, entry.id])),
            pictures[entry.id],
            entry.colour,
        )
        for entry in labels.table.classes
        if not entry.ignore and (entry.clusters or pixels[:, entry.id].any())
    ]
    description = run.backbone.describe()
    levels = description.get("levels")
    write_report(
        run.folder.report,
        Report(
            title="Unsupervised segmentation",
            classes=classes,
            images=panels,
            total_images=len(images),
            failures=run.failures,
            warnings=_warnings(model, stale),
            settings={
                **run.settings(),
                "threshold": _threshold_record(run),
                "versions": versions(),
            },
            timings=run.seconds,
            facts={**_facts(run.counts), **_threshold_fact(run.chosen_threshold)},
            backbone=run.backbone.name,
            training=find_spec(str(description["name"])).training,
            levels=None if levels == _USUAL_LEVELS else levels,
            method=run.config.fit.method,
            inputs=inputs,
            curves=curves,
            about=run.folder.record.get("about", ""),
            num_clusters=model.num_clusters,
            folder=str(run.folder.root),
        ),
    )


def labelled_images(run: Run, model: Model) -> tuple[list[ImageFile], int]:
    """The images whose label maps were made with this model, and how many have one that was not."""
    current: list[ImageFile] = []
    stale = 0
    for image in run.usable_images():
        path = run.folder.labels(image.name)
        if read_png_info(path).get("model") == model.fingerprint:
            current.append(image)
        elif path.exists():
            stale += 1
    return current, stale


def best_examples(pixels: NDArray[np.int64], limit: int) -> list[list[int]]:
    """Per class the images in which it has the largest share, at most ``limit``, best first."""
    share = pixels / pixels.sum(axis=1, keepdims=True).clip(1)
    ranked = np.argsort(-share, axis=0, kind="stable")
    return [
        [int(row) for row in ranked[:limit, cluster] if pixels[row, cluster]]
        for cluster in range(pixels.shape[1])
    ]


def evenly(total: int, limit: int) -> list[int]:
    """At most ``limit`` indices spread evenly over ``range(total)``."""
    return (
        sorted({int(position) for position in np.linspace(0, total - 1, min(total, limit))})
        if total
        else []
    )


def _pictures(
    run: Run,
    named: NamedLabels,
    images: Sequence[ImageFile],
    examples: Sequence[Sequence[int]],
    shown: Sequence[int],
) -> tuple[list[list[Image]], list[ImagePanel]]:
    """Example pictures per class and the panels, each photograph read once."""
    wanted: dict[int, list[tuple[int, int]]] = defaultdict(list)
    colours = named.colours()
    for class_id, rows in enumerate(examples[:IGNORE_INDEX]):
        for rank, row in enumerate(rows):
            wanted[row].append((class_id, rank))
    found: dict[tuple[int, int], Image] = {}
    panels: list[ImagePanel] = []
    needed = sorted({*wanted, *shown})
    with run.stage("report", len(needed)):
        for row in needed:
            image = images[row]
            run.progress.advance()
            try:
                photo = read_photo(image.path, PICTURE_PIXELS).image
                labels = named.read(image.name, photo.shape[:2])
                proposals = read_label_image(run.folder.proposals(image.name), photo.shape[:2])
            except ImageError as error:  # gone or damaged since it was segmented
                run.failures.append(Failure(str(image.path), "report", str(error)))
                continue
            for class_id, rank in wanted[row]:
                if (labels == class_id).any():
                    red, green, blue = colours[class_id].tolist()
                    found[class_id, rank] = class_example(
                        photo, labels, class_id, colour=(red, green, blue)
                    )
            if row in shown:
                info = run.store.info(image.name)
                panel = image_panel(image.name, photo, proposals, labels, colours=colours)
                panels.append(
                    panel
                    if info is None
                    else dataclasses.replace(panel, num_proposals=info.num_masks)
                )
    return [
        [found[key] for key in sorted(found) if key[0] == class_id]
        for class_id in range(len(examples))
    ], panels


def _warnings(model: Model, stale: int) -> list[str]:
    warnings: list[str] = []
    dead = len(model.fit.dead_clusters)
    if dead:
        warnings.append(f"{dead} of {model.num_clusters} classes own no part of any photograph.")
    if stale:
        warnings.append(
            "Label maps left out because they were not made with the present model of this folder:"
            f" {stale}. Run `primaps segment` again to make them anew."
        )
    return warnings


def _facts(counts: dict[str, Any]) -> dict[str, str]:
    proposals, coverage = counts.get("proposals_per_image"), counts.get("coverage")
    facts: dict[str, str] = {}
    if proposals:
        facts["proposals per photograph"] = (
            f"{proposals['mean']:.1f} on average, {proposals['min']} to {proposals['max']}"
        )
    if coverage:
        facts["covered by proposals"] = f"{coverage['mean']:.0%} of the pixels"
    return facts


def _threshold_fact(choice: ThresholdChoice | None) -> dict[str, str]:
    """How similar to its anchor a spot has to be, and who says so."""
    if choice is None:
        return {}
    origins = {
        "given": "given",
        "backbone": "the backbone's",
        "calibrated": f"calibrated on {len(choice.sample)} photographs",
    }
    return {"similarity threshold": f"{choice.value:g}, {origins[choice.source]}"}


def _threshold_record(run: Run) -> dict[str, Any]:
    """For the settings of the report; candidates by threshold."""
    if run.chosen_threshold is None:
        return {"value": run.threshold}
    record = as_record(run.chosen_threshold)
    if "candidates" in record:
        record["candidates"] = {
            f"{each.threshold:g}": (
                f"{each.proposals:g} proposals per photograph, {each.coverage:.0%} covered"
            )
            for each in run.chosen_threshold.candidates
        }
        record["sample"] = ", ".join(record["sample"])
    return record
