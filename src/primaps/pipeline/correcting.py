"""What a folder's proposals are, said by persons: counted, and read from masks that were mended in
other programs.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError, DatasetError, ImageError
from primaps.naming.corrections import UNLABELLED, resolve
from primaps.naming.mending import mended_proposals
from primaps.naming.table import Key, add_class, find_class, replace_class
from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.journal import Origin, read_journal
from primaps.outputs.export.voc import label_name
from primaps.outputs.label_files import read_label_image
from primaps.outputs.reading.finding import find_mended
from primaps.outputs.reading.mended import MendedImage
from primaps.outputs.reading.photographs import PhotographNames
from primaps.pipeline.class_overview import listed_images
from primaps.pipeline.classes import clusters_of, default_colours, transform_classes
from primaps.pipeline.exporting import exported_map, unique_stems
from primaps.pipeline.failures import all_failed
from primaps.pipeline.named_labels import NamedLabels, correct, count_corrections
from primaps.progress import Progress, Silent
from primaps.types import ClassTable, Failure

_NOTHING: Final = frozenset({"background", "ignored"})
"""Names for what belongs to no class, of Pascal VOC and of what builds on it, unless a class has
one.
"""


@dataclass(frozen=True)
class Parts:
    """What corrections cannot say of one photograph.

    Attributes:
        image: Its name.
        left: Number of mended pixels that no proposal carries.
        beyond: Number of pixels that were not mended and change all the same, with their proposal.
        passed_over: Number of marks that are no masks (boxes, points, ...).
    """

    image: str
    left: int
    beyond: int
    passed_over: int


@dataclass(frozen=True)
class ReadBack:
    """What was read from mended masks.

    Attributes:
        source: The form they had: ``coco``, ``cvat``, ``label-studio`` or ``png``.
        images: Number of photographs that were compared.
        mended: Number of those in which something had changed.
        corrections: Number of new corrections.
        new_classes: Names of classes that were made.
        parts: Per photograph, where corrections cannot say all.
        failures: What could not be used.
    """

    source: str
    images: int
    mended: int
    corrections: int
    new_classes: tuple[str, ...]
    parts: tuple[Parts, ...]
    failures: tuple[Failure, ...]

    def lines(self) -> list[str]:
        """For the terminal."""
        head = (
            f"Read from {self.source}: {self.images} photographs, {self.mended} of them mended,"
            f" {self.corrections} corrections."
        )
        lines = [head]
        if self.new_classes:
            lines.append(f"New classes: {', '.join(self.new_classes)}.")
        for each in self.parts:
            said = [
                f"{each.left} mended pixels that no proposal carries" if each.left else "",
                f"{each.beyond} pixels that change with their proposal" if each.beyond else "",
                f"{each.passed_over} boxes, points or lines passed over"
                if each.passed_over
                else "",
            ]
            lines.append(f"  {each.image}: {', '.join(filter(None, said))}")
        return lines


def corrections_text(folder: str | Path) -> str:
    """What is said so far of single proposals: how many, by class, and which sleep.

    Raises:
        CheckpointError: If the folder is none of a run.
        ConfigError: If the names or corrections have a mistake; the message names the line.
        ImageError: If a map of proposals cannot be read.
    """
    labels = NamedLabels(folder)
    titles = {each.id: each.title for each in labels.table.classes} | {UNLABELLED: "unlabelled"}
    said = Counter(int(each.class_id) for each in resolve(labels.journal, labels.table))
    lines = [f"  {number:>5}  {titles[each]}" for each, number in said.most_common()]
    head, *rest = count_corrections(labels).lines() or ["No corrections."]
    return "\n".join([head, *lines, *rest])


def correct_from_masks(
    folder: str | Path, given: str | Path, progress: Progress | None = None
) -> ReadBack:
    """Compare masks that were mended in another program with the present label maps, and say what
    proposals became (`primaps.naming.mending`). Classes that are new there are made here, without
    clusters. Photographs that the masks do not speak of stay as they are.

    Args:
        folder: Of a run.
        given: An export of ours with the mended file in it, or a folder or file of CVAT for images,
            Label Studio (JSON), COCO, or label images.
        progress: Who is told.

    Raises:
        CheckpointError: If the folder is none of a run.
        ConfigError: If there are no mended masks or no proposals, or names or corrections have a
            mistake.
        DatasetError: If no photograph could be used.
        OutputError: If something cannot be written.
    """
    labels, given = NamedLabels(folder), Path(given)
    if not (labels.files.root / "proposals").is_dir():
        raise ConfigError(
            f"Expected a run with proposals, which corrections speak of, but {labels.files.root}"
            " has none. Give the run that its model comes from."
        )
    if (given / "run.json").exists():
        raise ConfigError(f"Expected mended masks, but {given} is a folder of label maps.")
    export = read_journal(given)
    if export is not None:
        _check_model(labels, export.origin, given)
    masks = find_mended(given, None if export is None else export.format)
    work = _Reading(labels, Origin() if export is None else export.origin)
    files = {} if export is None else {given / name: image for name, image in export.files.items()}
    progress = progress or Silent()
    progress.start("mended masks", work.expected)
    for image in masks.images():
        work.read(image, files.get(image.where))
        progress.advance()
    progress.finish()
    return work.done(masks.form)


def _check_model(labels: NamedLabels, origin: Origin, given: Path) -> None:
    """What changed in an export is known for the label maps only that it was made from.

    Raises:
        ConfigError: If the run has another model now.
    """
    model = clusters_of(labels.named).model
    if origin.model not in {None, model}:
        raise ConfigError(
            f"Expected {given} to be an export of the present label maps, but it was made with"
            f" another fit (model {origin.model}, now {model}). To take its classes all the same,"
            " copy the mended file into a folder of its own."
        )


class _Reading:
    """Mended masks, read one after the other; nothing is written before `done`."""

    def __init__(self, labels: NamedLabels, origin: Origin) -> None:
        self._labels, self._origin = labels, origin
        self._table = labels.table
        self._names = [each.name for each in listed_images(labels.files)]
        self._photographs = PhotographNames(unique_stems(self._names))
        self._seen: dict[str, Path] = {}
        self._compared = self._mended = 0
        self._said: list[tuple[str, int, int]] = []
        self._parts: list[Parts] = []
        self._failures: list[Failure] = []

    @property
    def expected(self) -> int:
        """Number of photographs, of which the masks may speak of a part."""
        return len(self._names)

    def read(self, image: MendedImage, name: str | None) -> None:
        """Compare one photograph.

        Args:
            image: What the file says of it.
            name: Its name, if that is on record.

        Raises:
            ConfigError: If it is spoken of twice.
        """
        try:
            name = name or self._found(image)
            if name in self._seen:
                raise ConfigError(
                    f"Expected {name} once, but it is in {self._seen[name]} and in {image.where}."
                    " Take the one away that is not mended."
                )
            self._seen[name] = image.where
            self._compare(name, image)
        except ImageError as error:
            self._failures.append(Failure(f"{image.where}: {image.name}", "read", str(error)))

    def _found(self, image: MendedImage) -> str:
        """The name of a photograph in the folder.

        Raises:
            ImageError: If it is not there.
        """
        name = self._photographs.find(image.name, is_stem=image.is_stem)
        if name is None:
            raise ImageError(
                f"Expected the name of a photograph of {self._labels.files.root}, but got"
                f" {image.name!r}. Name it as it is called there."
            )
        return name

    def _compare(self, name: str, image: MendedImage) -> None:
        labels, origin = self._labels, self._origin
        present = labels.read(name)
        shown = exported_map(labels, name, origin.min_area, origin.unknown_below)
        mended = self._class_map(image, present.shape)
        if mended is None and (shown != UNLABELLED).any():
            raise ImageError(
                f"Expected masks of {name}, for it has classes, but there is none of a class that"
                " counts. Leave the photograph out, or mend it."
            )
        path = labels.files.proposals(name)
        mended = shown if mended is None else mended
        proposals = read_label_image(path)
        if proposals.shape != present.shape:
            raise ImageError(f"Expected {path} to have the size of its label map. Segment again.")
        found = mended_proposals(present, shown, mended, proposals)
        self._compared += 1
        self._mended += found.changed > 0
        self._said += [(name, proposal, each) for proposal, each in found.classes.items()]
        if found.left or found.beyond or image.passed_over:
            self._parts.append(Parts(name, found.left, found.beyond, image.passed_over))

    def _class_map(self, image: MendedImage, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """(H, W) uint8 class ids, 255 = unlabelled or of an ignored class; None = nothing else.

        Raises:
            ImageError: If the masks cannot be used, or are of another size.
            ConfigError: If a name is no name of a class.
        """
        indices = image.paint()
        if indices is None or (indices < 0).all():
            return None
        if indices.shape != shape:
            raise ImageError(
                f"Expected masks of {shape[1]} x {shape[0]} pixels, as the label map, but got"
                f" {indices.shape[1]} x {indices.shape[0]}. Mend them at the photograph's own size."
            )
        used = np.flatnonzero(np.bincount(indices[indices >= 0])).tolist()
        table = np.full(max(used) + 2, UNLABELLED, dtype=np.uint8)  # the last one: -1
        for index in used:
            table[index] = self._class_id(image, index)
        return table[indices] if (table != UNLABELLED).any() else None

    def _class_id(self, image: MendedImage, index: int) -> int:
        """Id of a class, which is made if it is new."""
        if image.names is None:
            if index not in {each.id for each in self._table.classes}:
                raise ImageError(
                    f"Expected values that are ids of classes, but there is no class {index}. Put a"
                    " labelmap.txt or mask_targets.json beside the masks that names the values."
                )
            return self._shown(index)
        name = image.names[index]
        found = self._known(name)
        if found is None and name in _NOTHING:
            return UNLABELLED
        if found is None:
            self._table = with_new_class(self._table, name)
            found = find_class(self._table, name).id
        return self._shown(found)

    def _shown(self, class_id: int) -> int:
        ignored = {each.id for each in self._table.classes if each.ignore}
        return UNLABELLED if class_id in ignored else class_id

    def _known(self, name: str) -> int | None:
        """The class that an export gave this name, or else the one that has it now."""
        ids = {each.id for each in self._table.classes}
        exported = _by_name(self._origin.classes, name)
        if exported in ids:
            return exported
        shown = {each.name: each.id for each in ExportClasses.of(self._table).classes}
        named = {each.name: each.id for each in self._table.classes if each.name is not None}
        found = _by_name({**shown, **named}, name)
        if found is not None:
            return found
        # unnamed when it was exported; it has a name, or was merged, since
        number = name.removeprefix("class ")
        if number == name or not number.isdecimal():
            return None
        owner = [each.id for each in self._table.classes if int(number) in each.clusters]
        return int(number) if int(number) in ids else next(iter(owner), None)

    def done(self, source: str) -> ReadBack:
        """Write everything down.

        Raises:
            DatasetError: If no photograph could be used.
            ConfigError: If classes were changed meanwhile so that this does not fit.
            OutputError: If something cannot be written.
        """
        if self._failures and not self._compared:
            raise DatasetError(all_failed(self._failures))
        known = {each.id for each in self._labels.table.classes}
        new = {each.id: str(each.name) for each in self._table.classes if each.id not in known}
        if new:
            transform_classes(self._labels.named.root, lambda table: (_with_new(table, new), {}))
        said: list[tuple[str, int, Key]] = [
            (image, proposal, new.get(class_id, class_id))
            for image, proposal, class_id in self._said
        ]
        made = correct(self._labels.named.root, said, source=source) if said else []
        return ReadBack(
            source,
            self._compared,
            self._mended,
            len(made),
            tuple(new.values()),
            tuple(self._parts),
            tuple(self._failures),
        )


def with_new_class(table: ClassTable, name: str) -> ClassTable:
    """A table with a further class that owns no cluster, in the colour of its id.

    Raises:
        ConfigError: If the name is no name, or no id is left.
    """
    added = add_class(table, name, (0, 0, 0))
    entry = find_class(added, name.strip())
    colour = default_colours()[entry.id]
    return replace_class(added, dataclasses.replace(entry, colour=colour))


def _with_new(table: ClassTable, new: Mapping[int, str]) -> ClassTable:
    for name in new.values():
        if name not in {each.name for each in table.classes}:
            table = with_new_class(table, name)
    return table


def _by_name(ids: Mapping[str, int], name: str) -> int | None:
    """The id of a name; label maps of Pascal VOC have other colons and number signs."""
    if name in ids:
        return ids[name]
    alike = (number for known, number in ids.items() if label_name(known) == label_name(name))
    return next(alike, None)
