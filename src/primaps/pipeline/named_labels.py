"""Label maps with names, and what persons say of single proposals: everything in a folder that
applies classes looks at it through `NamedLabels`.
"""

from __future__ import annotations

import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from primaps.errors import ConfigError, ImageError
from primaps.naming.applying import apply_classes, class_pixels, corrected_pixels
from primaps.naming.binding import Binding, bind, bind_unchanged
from primaps.naming.corrections import (
    UNLABELLED,
    Correction,
    Journal,
    Undo,
    correction_lines,
    make_corrections,
    parse_corrections,
    resolve,
)
from primaps.naming.table import Key, find_class
from primaps.outputs.label_files import read_label_image, read_png_info
from primaps.outputs.visualize import MAX_COLOURS, palette
from primaps.pipeline.classes import read_classes
from primaps.pipeline.image_list import read_image_list
from primaps.pipeline.proposal_facts import cluster_pixels, proposal_facts
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.types import ClassTable


class NamedLabels:
    """The label maps of a folder under its names and corrections.

    Args:
        folder: Of a run or of `predict`.
        table: Its classes; None = as they lie there.

    Raises:
        CheckpointError: If the folder is none of these.
        ConfigError: If the names or corrections have a mistake; the message names the line.
    """

    def __init__(self, folder: str | Path, table: ClassTable | None = None) -> None:
        self.named = NamedFolder.find(Path(folder))
        self.files = RunFolder(self.named.root)
        self.table = read_classes(self.named.root) if table is None else table
        self.journal = read_corrections(self.named.root)
        self._said: dict[str, list[Correction]] = defaultdict(list)
        for each in resolve(self.journal, self.table):
            self._said[each.image].append(each)

    @functools.cached_property
    def _present(self) -> frozenset[str] | None:
        return present_images(self.files)

    @property
    def corrected_images(self) -> tuple[str, ...]:
        """Names of the images of which a person said something, in order."""
        return tuple(sorted(self._said))

    def binding(self, image: str) -> Binding:
        """What the corrections of an image mean now.

        Raises:
            ConfigError: If one names a proposal that does not exist; the message names the line.
        """
        said = self._said.get(image, [])
        if not said:
            return Binding({})
        if self._present is not None and image not in self._present:
            return bind(said, None, None, self.journal)
        path = self.files.proposals(image)
        photo = read_png_info(path).get("image")
        if photo is None:
            return bind(said, "", None, self.journal)
        facts = proposal_facts(path)
        found = bind_unchanged(said, photo, facts.checksum, facts.present)
        return found or bind(said, photo, read_label_image(path), self.journal)

    def read(self, image: str, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """(H, W) class ids of an image, 255 where ignored.

        Args:
            image: Its name.
            size: (height, width) to sample the map at; None = its own.

        Raises:
            ImageError: If the label map cannot be read.
            ConfigError: As `binding`.
        """
        labels = read_label_image(self.files.labels(image), size)
        corrected = self.binding(image).classes
        proposals = read_label_image(self.files.proposals(image), size) if corrected else None
        return apply_classes(labels, self.table, proposals, corrected)

    def corrected(self, image: str) -> NDArray[np.bool_] | None:
        """(H, W) pixels of which a person said what they are; None if there are none.

        Raises:
            ImageError: If the proposals cannot be read.
            ConfigError: As `binding`.
        """
        classes = self.binding(image).classes
        if not classes:
            return None
        return np.isin(read_label_image(self.files.proposals(image)), list(classes))

    def colours(self) -> NDArray[np.uint8]:
        """(255, 3) uint8 colours by class id; ids without a class have those of label maps."""
        colours = palette(MAX_COLOURS)
        for entry in self.table.classes:
            colours[entry.id] = entry.colour
        return colours

    def pixels(self, images: Sequence[str]) -> NDArray[np.int64]:
        """(images, 256) pixels of each class id; column 255 holds ignored ones.

        From the headers of the label maps; maps with corrections are read.
        """
        clusters = np.zeros((len(images), 256), dtype=np.int64)
        for row, image in enumerate(images):
            header = read_png_info(self.files.labels(image))
            for cluster, number in json.loads(header.get("pixels", "{}")).items():
                clusters[row, int(cluster)] = number
        found = class_pixels(clusters, self.table)
        for row, image in enumerate(images):
            if image in self._said and self.binding(image).classes:
                try:
                    found[row] = self.corrected_pixels(image)
                except ImageError:
                    continue  # whoever draws it says why
        return found

    def corrected_pixels(self, image: str) -> NDArray[np.int64]:
        """(256,) pixels of each class id in an image with corrections; 255 holds ignored ones.

        Raises:
            ImageError: If a map cannot be read.
            ConfigError: As `binding`.
        """
        pairs = cluster_pixels(self.files.proposals(image), self.files.labels(image))
        return corrected_pixels(pairs, self.table, self.binding(image).classes)


@dataclass(frozen=True)
class CorrectionCounts:
    """What became of the corrections of a folder.

    Attributes:
        bound: How many are in force on the proposals they were said of.
        rebound: One sentence for each that was found again among other proposals.
        asleep: One sentence for each that means nothing at present; all are kept.
    """

    bound: int
    rebound: tuple[str, ...]
    asleep: tuple[str, ...]

    def lines(self) -> list[str]:
        """For the terminal; empty if nobody said anything."""
        if not (self.bound or self.rebound or self.asleep):
            return []
        head = (
            f"Corrections: {self.bound} in force, {len(self.rebound)} found again among other"
            f" proposals, {len(self.asleep)} asleep."
        )
        return [
            head,
            *(f"  found again: {each}" for each in self.rebound),
            *(f"  asleep: {each}" for each in self.asleep),
        ]


def count_corrections(labels: NamedLabels) -> CorrectionCounts:
    """See which corrections are in force.

    Raises:
        ConfigError: If one names a proposal that does not exist; the message names the line.
    """
    bindings = [labels.binding(image) for image in labels.corrected_images]
    return CorrectionCounts(
        sum(len(each.bound) for each in bindings),
        tuple(
            f"proposal {said.proposal} of {said.image} is now {number} (overlap {overlap:.2f})"
            for each in bindings
            for said, number, overlap in each.rebound
        ),
        tuple(
            f"proposal {said.proposal} of {said.image}: {why}"
            for each in bindings
            for said, why in each.asleep
        ),
    )


def present_images(files: RunFolder) -> frozenset[str] | None:
    """Names of the images that a run holds at present; None for a folder that has no list."""
    manifest = files.manifest
    return frozenset(read_image_list(manifest)["images"]) if manifest.exists() else None


def read_corrections(folder: str | Path) -> Journal:
    """All that was said of single proposals in a folder, and taken back.

    Raises:
        CheckpointError: If the folder is none of a run.
        ConfigError: If a line has a mistake; the message names it.
    """
    named = NamedFolder.find(Path(folder))
    return parse_corrections(named.read_corrections(), str(named.corrections))


def correct(
    folder: str | Path, said: Sequence[tuple[str, int, Key]], *, source: str = ""
) -> list[Correction]:
    """Say of single proposals which class they are; all of them, or none if one does not fit.

    Args:
        folder: Of a run.
        said: Name of an image, id of a proposal, and id or name of a class (255: unlabelled).
        source: Who says so, if not a person by hand.

    Returns:
        The lines that were added to ``corrections.jsonl``.

    Raises:
        ConfigError: If an image, a proposal or a class does not exist.
        ImageError: If a map of proposals cannot be read.
        OutputError: If the file cannot be written.
    """
    named = NamedFolder.find(Path(folder))
    with named.lock():
        table, journal = read_classes(named.root), read_corrections(named.root)
        ids = [
            (
                image,
                proposal,
                UNLABELLED if str(key) == str(UNLABELLED) else find_class(table, key).id,
            )
            for image, proposal, key in said
        ]
        made = said_corrections(named, ids, journal.next_id, source=source)
        named.append_corrections(correction_lines(made))
    return made


def said_corrections(
    named: NamedFolder, said: Sequence[tuple[str, int, int]], first: int, *, source: str = ""
) -> list[Correction]:
    """The lines that say of single proposals which class they are; nothing is written.

    Args:
        named: The folder.
        said: Name of an image, id of a proposal, id of a class or `UNLABELLED`.
        first: Number of the first line.
        source: As for `correct`.

    Raises:
        As `correct`.
    """
    files = RunFolder(named.root)
    present = present_images(files)
    made: list[Correction] = []
    for image, group in itertools.groupby(said, key=lambda each: each[0]):
        path = files.proposals(image)
        photo = read_png_info(path).get("image") if _is_in(image, present) else None
        if photo is None:
            raise ConfigError(
                f"Expected an image of the run with proposals, but got {image!r}. Names are"
                " those below proposals/, without .png."
            )
        pairs = [(proposal, target) for _, proposal, target in group]
        proposals = read_label_image(path)
        made += make_corrections(first + len(made), image, pairs, photo, proposals, source)
    return made


def _is_in(image: str, present: frozenset[str] | None) -> bool:
    return image in present if present is not None else ".." not in Path(image).parts


def undo_correction(folder: str | Path, number: int | None = None) -> Undo:
    """Take back one line of the corrections; a line that took back another one counts too.

    Args:
        folder: Of a run.
        number: Id of the line; None = the last correction that counts.

    Raises:
        ConfigError: If there is none.
        OutputError: If the file cannot be written.
    """
    named = NamedFolder.find(Path(folder))
    with named.lock():
        journal = read_corrections(named.root)
        chosen = journal.last_undoable() if number is None else number
        if chosen not in {each.id for each in journal.entries}:
            raise ConfigError(
                f"Expected the id of a line of {named.corrections}, but got {chosen}. They are"
                f" 1..{journal.next_id - 1}."
            )
        entry = Undo(journal.next_id, chosen)
        named.append_corrections(correction_lines([entry]))
    return entry
