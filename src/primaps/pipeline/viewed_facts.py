"""What the viewer says of a run beside its images: figures, warnings, settings, curves, tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from primaps.errors import BackboneError
from primaps.features.levels import DEFAULT_STRIDES
from primaps.features.registry import find_spec
from primaps.pipeline.fit_curves import kept_curves
from primaps.pipeline.framed import inputs_of
from primaps.pipeline.threshold import as_record
from primaps.pipeline.trees import read_tree
from primaps.runs.run import RunFolder, read_warnings
from primaps.runs.store import read_json
from primaps.types import FitCurves, NoteKind

LOSS_DIGITS: Final = 6
_DONE: Final[dict[NoteKind, str]] = {
    "alpha": "transparent",
    "bands": "bands chosen",
    "damaged": "damaged",
    "no-data": "with pixels without data",
    "orientation": "turned upright",
    "page": "of several pages",
    "profile": "with a colour profile",
    "range": "with a range of values",
    "reduced": "read at reduced size",
}
_USUAL_LEVELS: Final = ",".join(map(str, DEFAULT_STRIDES))


def backbone_facts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Name of the backbone, with a head if it has one; what it was trained with; its levels, None
    where they are the usual ones.

    Args:
        record: Of the run.
    """
    description = record["settings"]["backbone"]
    name, levels = str(description["name"]), description.get("levels")
    head = description.get("head")
    return {
        "name": name if head is None else f"{name} with a head of kind {head['kind']}",
        "training": _training(name),
        "levels": None if levels == _USUAL_LEVELS else levels,
    }


def _training(name: str) -> str:
    """What a backbone was trained with; those that are handed over in Python are not listed."""
    try:
        return find_spec(name).training
    except BackboneError:
        return "not known here: the backbone is none of this version"


def run_facts(files: RunFolder, source: RunFolder | None = None) -> dict[str, str]:
    """Further figures, label to text.

    Args:
        files: The folder.
        source: The run that read the photographs; None = the folder itself did.
    """
    counts = files.record.get("counts", {})
    proposals, coverage = counts.get("proposals_per_image"), counts.get("coverage")
    facts: dict[str, str] = {}
    if proposals:
        facts["proposals per photograph"] = (
            f"{proposals['mean']:.1f} on average, {proposals['min']} to {proposals['max']}"
        )
    if coverage:
        facts["covered by proposals"] = f"{coverage['mean']:.0%} of the pixels"
    choice = files.threshold
    if choice is not None:
        origins = {
            "given": "given",
            "backbone": "the backbone's",
            "calibrated": f"calibrated on {len(choice.sample)} photographs",
        }
        facts["similarity threshold"] = f"{choice.value:g}, {origins[choice.source]}"
    return facts | _reading_facts(files if source is None else source)


def _reading_facts(files: RunFolder) -> dict[str, str]:
    """How files that are not plain 8-bit RGB became photographs, where there are some."""
    inputs, facts = inputs_of(files), dict[str, str]()
    counts = Counter(
        kind
        for notes in read_warnings(files).values()
        for kind in dict.fromkeys(note.kind for note in notes)
    )
    if "range" in counts:
        measured = [f"{kind} {low:g} to {high:g}" for kind, low, high in inputs.ranges]
        facts["value range"] = (
            ", ".join(["measured:", *measured]).replace(":,", ":")
            if inputs.value_range == "auto" and measured
            else _policy(inputs.value_range)
        )
    if inputs.bands is not None:
        facts["bands"] = ", ".join(map(str, inputs.bands))
    if inputs.pages == "all":
        facts["pages"] = "all"
    if counts:
        facts["read in another way than plain 8-bit RGB"] = ", ".join(
            f"{_DONE[kind]}: {number}" for kind, number in sorted(counts.items())
        )
    return facts


def _policy(value_range: str | tuple[float, float]) -> str:
    if isinstance(value_range, str):
        return value_range
    return f"{value_range[0]:g} to {value_range[1]:g}, given"


def run_warnings(clusters: int, used: int, stale: int) -> list[str]:
    """Sentences about the whole run.

    Args:
        clusters: K.
        used: Number of clusters with pixels in any label map.
        stale: Number of label maps that were left out.
    """
    warnings: list[str] = []
    if used < clusters:
        warnings.append(
            f"Of the {clusters} classes that were fitted, {clusters - used} have no pixel in any"
            " label map."
        )
    if stale:
        warnings.append(
            "Label maps left out because they were not made with the present model of this folder:"
            f" {stale}. Run `primaps segment` again to make them anew."
        )
    return warnings


def run_settings(files: RunFolder, *, stored: bool) -> dict[str, Any]:
    """Settings and versions: of label maps alone where nothing else was done in the folder."""
    settings, versions = files.record["settings"], files.record.get("versions", {})
    if not stored:
        known = {key: settings[key] for key in ("backbone", "predict") if key in settings}
        return {**known, "versions": versions}
    return {**settings, "threshold": _threshold_record(files), "versions": versions}


def _threshold_record(files: RunFolder) -> dict[str, Any] | None:
    """Candidates by threshold, in words."""
    choice = files.threshold
    if choice is None:
        return None
    record = as_record(choice)
    if "candidates" in record:
        record["candidates"] = {
            f"{each.threshold:g}": (
                f"{each.proposals:g} proposals per photograph, {each.coverage:.0%} covered"
            )
            for each in choice.candidates
        }
        record["sample"] = ", ".join(record["sample"])
    return record


def curves_record(curves: FitCurves | None) -> dict[str, Any] | None:
    """`Curves`, JSON-ready; None if nothing is known of a fit."""
    if curves is None or not len(curves.losses):
        return None
    return {
        "losses": [round(float(each), LOSS_DIGITS) for each in curves.losses],
        "steps": [int(each) for each in curves.steps],
        "usage": [[round(float(each), LOSS_DIGITS) for each in row] for row in curves.usage],
        "agreement": [round(float(each), LOSS_DIGITS) for each in curves.agreement],
    }


def folder_curves(files: RunFolder) -> FitCurves | None:
    """The curves of a folder's model as they lie there; None if it has none.

    Raises:
        CheckpointError: If a file is damaged.
    """
    path = files.model / "model.json"
    if not path.exists():
        return None
    record = read_json(path)
    return kept_curves(files.model, str(record["fingerprint"]), record["losses"])


def viewed_tree(files: RunFolder) -> dict[str, Any] | None:
    """`Tree`, JSON-ready; None if the folder has no model.

    Raises:
        CheckpointError: If the model or its tree is damaged.
    """
    tree = read_tree(files.root)
    if tree is None:
        return None
    choice = files.number
    return {
        "num_clusters": tree.num_clusters,
        "merges": [
            [each.first, each.second, round(each.height, 6), round(each.size, 6)]
            for each in tree.merges
        ],
        "number": None
        if choice is None
        else {
            "value": choice.value,
            "curve": [[number, round(score, 6)] for number, score in choice.curve],
        },
    }


def title_of(root: Path) -> str:
    """Name of the folder."""
    return root.resolve().name or str(root.resolve())
