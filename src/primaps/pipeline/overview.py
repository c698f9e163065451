"""The report of a run: which pictures to show, gathered from what lies in the run folder."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from primaps.pipeline.certainties import (
    CertaintyBook,
    ImageCertainty,
    class_certainty,
    doubtful_images,
)
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.threshold import as_record
from primaps.pipeline.trees import tree_facts
from primaps.runs.model import Model
from primaps.runs.run import Run, versions
from primaps.types import (
    IGNORE_INDEX,
    ClassTable,
    Failure,
    FitCurves,
    Image,
    ImageFile,
    ThresholdChoice,
)

MAX_PANELS = 40
EXAMPLES_PER_CLASS = 3
PICTURE_PIXELS = 250_000
_USUAL_LEVELS = ",".join(map(str, DEFAULT_STRIDES))


@dataclass(frozen=True)
class ModelFacts:
    """What the report says of a model.

    Attributes:
        fingerprint: Of the model.
        num_clusters: K.
        dead: Number of clusters that own no part of any training image.
    """

    fingerprint: str
    num_clusters: int
    dead: int

    @classmethod
    def of(cls, model: Model) -> ModelFacts:
        """Those of a model at hand."""
        return cls(model.fingerprint, model.num_clusters, len(model.fit.dead_clusters))


def write_run_report(
    run: Run,
    model: Model | ModelFacts,
    inputs: Sequence[str],
    curves: FitCurves | None = None,
) -> None:
    """Write ``report.html`` for the label maps in the folder of a run or of `predict`.

    Args:
        run: The run.
        model: Its model, or what is on record of it.
        inputs: What the user gave as IMAGES.
        curves: What changed over the fit; None leaves it out.

    Raises:
        ConfigError: If the names or corrections have a mistake; the message names the line.
        OutputError: If it cannot be written.
    """
    model = ModelFacts.of(model) if isinstance(model, Model) else model
    images, stale = labelled_images(run, model)
    labels = NamedLabels(run.folder.root)
    pixels = labels.pixels([image.name for image in images])
    certain = _certainties(run, images, model)
    doubtful = doubtful_images({name: found.mean for name, found in certain.items()})
    shown = _shown(images, doubtful)
    examples = best_examples(pixels, EXAMPLES_PER_CLASS)
    pictures, panels = _pictures(run, labels, images, examples, shown)
    description = run.backbone.describe()
    levels = description.get("levels")
    write_report(
        run.folder.report,
        Report(
            title="Unsupervised segmentation",
            classes=_summaries(labels.table, pixels, pictures, certain),
            images=[_with_certainty(panel, certain) for panel in panels],
            total_images=len(images),
            failures=run.failures,
            warnings=_warnings(model, stale),
            settings=_settings(run),
            timings=run.seconds,
            facts={**_facts(run.counts), **_threshold_fact(run.chosen_threshold)},
            backbone=run.backbone.name,
            training=find_spec(str(description["name"])).training,
            levels=None if levels == _USUAL_LEVELS else levels,
            method=run.config.fit.method,
            inputs=inputs,
            curves=curves,
            tree=tree_facts(run.folder.root, labels.table, run.folder.number),
            about=run.folder.record.get("about", ""),
            num_clusters=model.num_clusters,
            folder=str(run.folder.root),
            doubtful=doubtful,
        ),
    )


def _summaries(
    table: ClassTable,
    pixels: NDArray[np.int64],
    pictures: Sequence[Sequence[Image]],
    certain: Mapping[str, ImageCertainty],
) -> list[ClassSummary]:
    """The classes of the report: not those that are ignored, nor those that own nothing."""
    share = pixels.sum(axis=0) / max(1, pixels.sum())
    certainties = class_certainty(list(certain.values()), table)
    return [
        ClassSummary(
            entry.id,
            entry.name,
            float(share[entry.id]),
            int(np.count_nonzero(pixels[:, entry.id])),
            pictures[entry.id],
            entry.colour,
            certainties.get(entry.id),
        )
        for entry in table.classes
        if not entry.ignore and (entry.clusters or pixels[:, entry.id].any())
    ]


def _certainties(
    run: Run, images: Sequence[ImageFile], model: ModelFacts
) -> dict[str, ImageCertainty]:
    """By name, as far as they are known."""
    book = CertaintyBook(run.folder.certainties, model.fingerprint)
    return {image.name: found for image in images if (found := book.get(image.name)) is not None}


def _with_certainty(panel: ImagePanel, certain: Mapping[str, ImageCertainty]) -> ImagePanel:
    found = certain.get(panel.name)
    return panel if found is None else dataclasses.replace(panel, certainty=found.mean)


def _shown(images: Sequence[ImageFile], doubtful: Sequence[tuple[str, float]]) -> list[int]:
    """Images with a panel: those that fit no class first, then others spread evenly."""
    rows = {image.name: row for row, image in enumerate(images)}
    first = [rows[name] for name, _ in doubtful[: MAX_PANELS // 4]]
    rest = [row for row in range(len(images)) if row not in set(first)]
    return first + [rest[index] for index in evenly(len(rest), MAX_PANELS - len(first))]


def has_store(run: Run) -> bool:
    """Whether features and proposals of the images are stored in the folder; not in one of
    `predict`.
    """
    return (run.folder.store / "manifest.json").exists()


def labelled_images(run: Run, model: Model | ModelFacts) -> tuple[list[ImageFile], int]:
    """The images whose label maps were made with this model, and how many have one that was not."""
    failed = {failure.path for failure in run.failures}
    candidates = (
        run.usable_images()
        if has_store(run)
        else [image for image in run.images if str(image.path) not in failed]
    )
    current: list[ImageFile] = []
    stale = 0
    for image in candidates:
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
    panels: dict[int, ImagePanel] = {}
    needed = sorted({*wanted, *shown})
    with run.stage("report", len(needed)):
        for row in needed:
            image = images[row]
            run.progress.advance()
            try:
                photo = read_photo(image.path, PICTURE_PIXELS).image
                labels = named.read(image.name, photo.shape[:2])
                proposals = (
                    read_label_image(run.folder.proposals(image.name), photo.shape[:2])
                    if has_store(run)
                    else None
                )
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
                panel = image_panel(image.name, photo, proposals, labels, colours=colours)
                info = run.store.info(image.name)
                panels[row] = (
                    panel
                    if info is None
                    else dataclasses.replace(panel, num_proposals=info.num_masks)
                )
    return [
        [found[key] for key in sorted(found) if key[0] == class_id]
        for class_id in range(len(examples))
    ], [panels[row] for row in shown if row in panels]


def _settings(run: Run) -> dict[str, Any]:
    """For the report: of label maps alone where nothing else was done in the folder."""
    settings = run.settings()
    if has_store(run):
        return {**settings, "threshold": _threshold_record(run), "versions": versions()}
    known = {key: settings[key] for key in ("backbone", "predict")}
    return {**known, "versions": versions()}


def _warnings(model: ModelFacts, stale: int) -> list[str]:
    warnings: list[str] = []
    if model.dead:
        warnings.append(
            f"{model.dead} of {model.num_clusters} classes own no part of any photograph."
        )
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
