"""One row over several heads, one fit on each: what varies is the training of the heads, which no
seed of a fit touches.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from primaps.errors import ConfigError
from primaps.heads.files import head_record
from primaps.pipeline import finishing
from primaps.progress import Progress, Silent
from primaps.protocol.images import Part
from primaps.protocol.label_maps import moments
from primaps.protocol.measure import COMMAND, RowPlace, measure_row, row_settings, write_row
from primaps.protocol.row import Row
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import remove_file
from primaps.types import FeatureExtractor


def measure_heads(
    row: Row,
    place: RowPlace,
    heads: Sequence[Path],
    load: Callable[[Path], FeatureExtractor],
    *,
    parts: tuple[Part, Part],
    progress: Progress | None = None,
) -> tuple[dict[str, Any], Run]:
    """Measure a row on every head, and mean and sample standard deviation over the heads.

    Args:
        row: What is measured; one seed.
        place: Where it reads and writes. The row of each head lies in ``out``, in a folder named
            after the head's checksum, and so do its features in ``store``.
        heads: Folders of heads.
        load: Gives the backbone with a head.
        parts: The images to fit to and to measure on.
        progress: Who is told.

    Returns:
        What ``metrics.json`` holds, in which heads, in the order given, take the place of seeds,
        and the run of the row.

    Raises:
        ConfigError: If there is more than one seed, or a head is given twice.
        PrimapsError: As `measure_row` does.
    """
    names = _names(row, heads)
    progress = progress or Silent()
    first = load(heads[0])
    config = row.config(first, len(parts[0].dataset.class_names), len(parts[0].files))
    own = Run(RunFolder(place.out), first, config, parts[0].files, progress)
    own.folder.claim(
        {COMMAND: row_settings(row), "backbone": _without_checksum(first.describe())},
        overwrite=place.overwrite,
    )
    found: dict[str, dict[str, Any]] = {}
    with finishing(own, COMMAND, (str(place.root),)):
        remove_file(place.out / "metrics.json")  # until all heads are measured
        for name, folder in names.items():
            backbone = load(folder) if found else first
            progress.note(f"Head {len(found) + 1} of {len(names)}: {folder}")
            inner = dataclasses.replace(
                place, out=place.out / name, store=place.store and place.store / name
            )
            found[name], run = measure_row(row, inner, backbone, parts=parts, progress=progress)
            own.failures += [failure for failure in run.failures if failure not in own.failures]
    metrics = {**_joined(found), "failures": len(own.failures)}
    write_row(place.out, metrics)
    return metrics, own


def _names(row: Row, heads: Sequence[Path]) -> dict[str, Path]:
    """Folder of each head by the name of its part of the row."""
    if row.seeds != 1:
        raise ConfigError(
            "Expected one seed with several heads, on each of which one fit is made, but got"
            f" --seeds {row.seeds}."
        )
    checksums = [head_record(folder)["sha256"] for folder in heads]
    twice = [
        str(folder)
        for folder, checksum in zip(heads, checksums, strict=True)
        if Counter(checksums)[checksum] > 1
    ]
    if twice:
        raise ConfigError(
            f"Expected different heads, but {' and '.join(twice)} are the same. Leave one of them"
            " out."
        )
    return {
        f"head-{checksum[:8]}": folder for folder, checksum in zip(heads, checksums, strict=True)
    }


def _without_checksum(description: Mapping[str, Any]) -> dict[str, Any]:
    """What backbones with several heads have in common."""
    return {**description, "head": {**description["head"], "sha256": "several"}}


def _joined(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Metrics of one row per head as those of one row, whose seeds are numbers of heads."""
    rows = list(found.values())
    seconds: Counter[str] = Counter()
    for metrics in rows:
        seconds.update(metrics["seconds"])
    return {
        **rows[0],
        "backbone": _without_checksum(rows[0]["backbone"]),
        "heads": {name: metrics["backbone"]["head"] for name, metrics in found.items()},
        "train_images": min(metrics["train_images"] for metrics in rows),
        "variants": {
            variant: _variant([metrics["variants"][variant] for metrics in rows])
            for variant in rows[0]["variants"]
        },
        "selection": {
            str(number): metrics["selection"]["0"] for number, metrics in enumerate(rows)
        },
        "models": {
            str(number): metrics["models"]["0"]
            for number, metrics in enumerate(rows)
            if metrics["models"]
        },
        "record": {
            str(number): {kind: f"{name}/{path}" for kind, path in metrics["record"]["0"].items()}
            for number, (name, metrics) in enumerate(found.items())
        },
        "seconds": dict(seconds),
    }


def _variant(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One variant over the heads: the scores of each, their mean and sample standard deviation."""
    scores = [next(iter(one["seeds"].values())) for one in measured]
    return {
        "uses_labels_to_fit": measured[0]["uses_labels_to_fit"],
        **{name: moments([one[name] for one in scores]) for name in ("accuracy", "miou")},
        "seeds": {str(number): one for number, one in enumerate(scores)},
    }
