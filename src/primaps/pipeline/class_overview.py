"""How much of the photographs each class of a folder has, and where it is to be seen."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Final

import numpy as np

from primaps.outputs.class_table import ClassRow, class_table_text
from primaps.outputs.label_files import read_png_info
from primaps.pipeline.certainties import CertaintyBook, class_certainty
from primaps.pipeline.classes import ClassChanges, clusters_of, edit_classes, read_classes
from primaps.pipeline.framed import listed_image
from primaps.pipeline.image_list import read_image_list
from primaps.pipeline.named_labels import CorrectionCounts, NamedLabels, count_corrections
from primaps.pipeline.trees import cluster_titles, read_tree
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.types import ClassTable, ImageFile

EXAMPLES: Final = 2
"""Images named per class."""
MOST_CUTS: Final = 5
"""Cuts of the tree that are told."""


def labelled_files(files: RunFolder, model: str | None) -> list[ImageFile]:
    """The images of a folder that have a label map made with a model, in the order of their names.

    Args:
        files: A run, or a folder of `predict`.
        model: Fingerprint of the model.

    Returns:
        The images; where the folder has no list of them, as those of earlier versions of `predict`,
        the path is that of the label map.
    """
    return [
        image
        for image in listed_images(files)
        if read_png_info(files.labels(image.name)).get("model") == model
    ]


def listed_images(files: RunFolder) -> list[ImageFile]:
    """The images of a run or of `predict`, in the order of their names, labelled or not."""
    for listing in (files.manifest, files.images_file):
        if listing.exists():
            entries = read_image_list(listing)["images"]
            return [listed_image(name, entry) for name, entry in entries.items()]
    found = [path for path in files.root.glob("labels/**/*.png") if path.is_file()]
    names = {str(path.relative_to(files.root / "labels"))[: -len(".png")]: path for path in found}
    return [ImageFile(names[name], name.replace(os.sep, "/")) for name in sorted(names)]


def class_rows(folder: str | Path) -> tuple[list[ClassRow], CorrectionCounts]:
    """The classes of a folder with their share of all pixels, and what became of corrections.

    Args:
        folder: Of a run, of `predict`, or of a model, which has no label maps.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If the names or corrections have a mistake; the message names the line.
    """
    table = read_classes(folder)
    # ignored classes have a share too
    every = [dataclasses.replace(each, ignore=False) for each in table.classes]
    labels = NamedLabels(folder, ClassTable(table.num_clusters, tuple(every)))
    model = clusters_of(labels.named).model
    images = labelled_files(labels.files, model)
    book = CertaintyBook(labels.files.certainties, str(model))
    known = [found for image in images if (found := book.get(image.name)) is not None]
    certain = class_certainty(known, table)
    pixels = labels.pixels([image.name for image in images])
    shares = pixels / pixels.sum(axis=1, keepdims=True).clip(1)
    ranked, total = np.argsort(-shares, axis=0, kind="stable"), int(pixels.sum())
    rows = [
        ClassRow(
            entry,
            float(pixels[:, entry.id].sum() / total) if total else None,
            int(np.count_nonzero(pixels[:, entry.id])),
            tuple(images[row].path for row in ranked[:EXAMPLES, entry.id] if pixels[row, entry.id]),
            certain.get(entry.id),
        )
        for entry in table.classes
    ]
    return rows, count_corrections(labels)


def class_report(folder: str | Path, changes: ClassChanges) -> str:
    """What `primaps classes` does and prints: change the classes, then the table of them.

    Args:
        folder: Of a run, of `predict`, or of a model.
        changes: What to change; nothing makes ``classes.yaml`` if there is none.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If the names or corrections have a mistake, or a change does not fit.
        OutputError: If something cannot be written.
    """
    RunFolder(NamedFolder.find(Path(folder)).root)  # if damaged, it shows before names change
    table = edit_classes(folder, changes)
    rows, corrections = class_rows(folder)
    lines = [class_table_text(rows)]
    owned = {cluster for row in rows for cluster in row.entry.clusters}
    homeless = sorted(set(range(table.num_clusters)) - owned)
    if homeless:
        listed = ", ".join(map(str, homeless))
        lines.append(f"Clusters of no class, which count as unlabelled: {listed}.")
    return "\n".join([*lines, *corrections.lines(), *_number_lines(folder, table)])


def _number_lines(folder: str | Path, table: ClassTable) -> list[str]:
    """How the number of classes was proposed, and what coarser cuts of the tree would make."""
    lines: list[str] = []
    choice = RunFolder(NamedFolder.find(Path(folder)).root).number
    if choice is not None:
        scores = ", ".join(
            f"{number} {score:.2f}" for number, score in choice.curve if number <= choice.value + 4
        )
        lines.append(f"Proposed number of classes: {choice.value}. Score by number: {scores}.")
    tree = read_tree(folder)
    if tree is None or tree.num_clusters < 3:
        return lines
    titles = cluster_titles(table)
    lines.append("Coarser, by the tree of the clusters:")
    for number in range(2, min(tree.num_clusters, MOST_CUTS + 2)):
        groups = (", ".join(titles[each] for each in group) for group in tree.cut(number))
        lines.append(f"  --cut {number}  {' | '.join(groups)}")
    return lines
