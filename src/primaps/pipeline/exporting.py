"""From a run, or a folder of predicted label maps, to an annotated data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from primaps.data.scanning import scan
from primaps.data.upright import standing, upright_bytes
from primaps.errors import CheckpointError, ConfigError, DatasetError, ImageError
from primaps.outputs.export.classes import ExportClasses
from primaps.outputs.export.exporter import Exporter, ExportImage, ExportOptions, Record
from primaps.outputs.export.journal import Entry, Journal, Origin
from primaps.outputs.export.regions import without_small
from primaps.outputs.export.registry import OUTLINES, find_exporter
from primaps.outputs.export.splitting import SPLIT_NAMES, WHOLE, split_of
from primaps.outputs.export.target import Target
from primaps.outputs.label_files import read_label_image, read_png_info
from primaps.pipeline.classes import clusters_of
from primaps.pipeline.failures import all_failed, reported
from primaps.pipeline.framed import inputs_of, listed_image
from primaps.pipeline.image_list import read_image_list
from primaps.pipeline.named_labels import NamedLabels
from primaps.pipeline.photographs import check_photograph, file_checksum
from primaps.progress import Progress, Silent, tell_failures
from primaps.runs.run import RunFolder
from primaps.runs.store import fingerprint, while_at_work
from primaps.types import IGNORE_INDEX, Failure, ImageFile

GENERATION = 1
"""Raised when a change of the code changes what exporters write, so that it is made anew."""


@dataclass(frozen=True)
class ExportSettings:
    """What a person asks of an export.

    Attributes:
        format: Name of the format, one of `primaps.outputs.export.registry.FORMATS`.
        split: Shares of train, val and test; empty = the data set is one whole.
        seed: Of the split.
        min_area: Regions with fewer pixels become unlabelled.
        unknown_below: Pixels whose certainty is lower, in [0, 1], become unlabelled, but those of
            corrected proposals; None = none.
        link: Photographs become links; those that lie turned in their file are copied all the same.
        polygons: Outlines instead of masks, in formats that know both.
    """

    format: str
    split: tuple[float, ...] = ()
    seed: int = 0
    min_area: int = 0
    unknown_below: float | None = None
    link: bool = False
    polygons: bool = False

    def part(self, name: str) -> str:
        """The part of the data set that an image belongs to."""
        return split_of(name, self.split, self.seed) if self.split else WHOLE


@dataclass(frozen=True)
class Exported:
    """What became of an export.

    Attributes:
        images: Names of the images in it.
        failures: Inputs that could not be used.
    """

    images: tuple[str, ...]
    failures: tuple[Failure, ...]


def export(
    folder: Path,
    out: Path,
    settings: ExportSettings,
    progress: Progress | None = None,
) -> Exported:
    """Write an annotated data set, under the names and corrections of its folder. Resumable: what
    is up to date is kept, what no longer belongs to the export is removed; after classes were named
    or proposals corrected it is redone in place.

    Args:
        folder: Run folder, or a folder of predicted label maps.
        out: Where to write: a new folder, or an earlier export in the same format.
        settings: What is wanted.
        progress: Who is told.

    Raises:
        CheckpointError: If ``folder`` holds no label maps of this package.
        ConfigError: If the format is unknown, ``out`` holds something else, or names or corrections
            have a mistake; the message names the line.
        MissingExtraError: If the format needs a package that is not installed.
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    make = find_exporter(settings.format)
    labels, images = to_export(folder, settings)
    target = Target(out, link=settings.link)
    options = ExportOptions(SPLIT_NAMES[: len(settings.split)], settings.polygons)
    exporter = make(target, ExportClasses.of(labels.table), options)
    journal = Journal(out, settings.format)
    try:
        work = _Export(labels, settings, images, target, journal, progress or Silent())
        return work.done_with(exporter)
    finally:
        journal.close()


def to_export(folder: Path, settings: ExportSettings) -> tuple[NamedLabels, tuple[ImageFile, ...]]:
    """What an export has to do with: label maps under their names, and the photographs.

    Raises:
        PrimapsError: As `export`.
    """
    run = RunFolder(folder)
    _check_polygons(settings)
    images = labelled_images(run)
    if settings.unknown_below is not None and not (run.root / "certainty").is_dir():
        raise ConfigError(
            f"Expected certainties in {run.root / 'certainty'}, to leave out what is uncertain, but"
            " there are none. Make the label maps again with --certainty of `primaps segment` or"
            " `primaps predict`, or leave --unknown-below away."
        )
    return NamedLabels(folder), images


def _check_polygons(settings: ExportSettings) -> None:
    if settings.polygons and settings.format not in OUTLINES:
        raise ConfigError(
            f"Expected --polygons with a format that holds masks otherwise ({', '.join(OUTLINES)}),"
            f" but got {settings.format}. Leave it away."
        )


def labelled_images(run: RunFolder) -> tuple[ImageFile, ...]:
    """The photographs that a folder of label maps was made from, in the order of their names.

    Args:
        run: Run folder (its manifest names them), or a folder of `primaps predict` (its list does).
            Where there is no list, the inputs of the last command are looked through again.

    Raises:
        CheckpointError: If it holds no label maps.
        DatasetError: If no photograph is left at the inputs.
    """
    if "config" not in run.record or not (run.root / "labels").is_dir():
        raise CheckpointError(
            f"Expected {run.root} to hold label maps (run.json and labels), but it does not. Run"
            " `primaps segment` or `primaps predict` with this folder as --out first."
            + while_at_work(run.root)
        )
    lists = [path for path in (run.manifest, run.images_file) if path.exists()]
    found: dict[str, ImageFile] = {}
    for path in lists:
        for name, entry in read_image_list(path)["images"].items():
            found[name] = listed_image(name, entry)
    if not found:
        for image in scan(run.record.get("inputs", ()), exclude=run.root).images:
            found[image.name] = image
    return tuple(found[name] for name in sorted(found))


def exported_name(image: ImageFile) -> str:
    """Name of an image in a data set: a page of a file becomes a PNG of its own."""
    return image.name if image.page is None else f"{image.name}.png"


def unique_stems(names: Sequence[str]) -> dict[str, str]:
    """Names without their extensions; those that would be equal keep it behind an underscore.

    Args:
        names: Relative paths with forward slashes, all different.
    """
    plain = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    counts = Counter(plain.values())
    stems = {name: stem for name, stem in plain.items() if counts[stem] == 1}
    taken = set(counts)
    for name in names:
        if name not in stems:
            stem = f"{plain[name]}_{PurePosixPath(name).suffix.removeprefix('.')}"
            while stem in taken:
                stem += "_"
            taken.add(stem)
            stems[name] = stem
    return stems


class Stamps:
    """What determines what is written of the images of an export.

    Args:
        labels: The label maps under their names and corrections.
        settings: What is wanted.
        images: The photographs.

    Attributes:
        stems: Names of images in the data set without extensions, by their names there.
        asleep: Number of corrections met that mean nothing at present.
    """

    def __init__(
        self, labels: NamedLabels, settings: ExportSettings, images: Sequence[ImageFile]
    ) -> None:
        self._labels, self._settings = labels, settings
        self.stems = unique_stems([exported_name(image) for image in images])
        self.asleep = 0
        clusters = labels.table.cluster_to_class().tolist()
        classes, model = ExportClasses.of(labels.table), clusters_of(labels.named).model
        self._asked = fingerprint([GENERATION, asdict(settings), asdict(classes), clusters, model])

    def of(self, image: ImageFile) -> tuple[str, int | None]:
        """Fingerprint of all that determines what is written of an image, and the photograph's size
        in bytes; None if it cannot be had.
        """
        run = self._labels.files
        files = [run.labels(image.name), image.path]
        if self._settings.unknown_below is not None:
            files.append(run.certainty(image.name))
        said = self._said(image.name)
        if said:
            files.append(run.proposals(image.name))
        states = [_state(path) for path in files]
        stamp = fingerprint([self._asked, self.stems[exported_name(image)], states, said])
        return stamp, states[1][0] if states[1] else None

    def _said(self, name: str) -> list[tuple[int, int]]:
        """Corrected proposals of an image, and their classes."""
        try:
            binding = self._labels.binding(name)
        except ImageError:  # reading it again will explain
            return [(0, 0)]
        self.asleep += len(binding.asleep)
        return sorted(binding.classes.items())


class _Export:
    """One export at work."""

    def __init__(
        self,
        labels: NamedLabels,
        settings: ExportSettings,
        images: tuple[ImageFile, ...],
        target: Target,
        journal: Journal,
        progress: Progress,
    ) -> None:
        self._labels, self._run = labels, labels.files
        self._settings, self._images = settings, images
        self._target, self._journal, self._progress = target, journal, progress
        self._classes = ExportClasses.of(labels.table)
        self._model = clusters_of(labels.named).model
        self._stamps = Stamps(labels, settings, images)
        self._stems = self._stamps.stems
        self._failures: list[Failure] = []
        self._unchecked = 0

    def done_with(self, exporter: Exporter) -> Exported:
        """Everything: the images, then the lists."""
        bytes_to_come = 0
        stamps = {}
        for image in self._images:
            stamps[image.name], size = self._stamps.of(image)
            bytes_to_come += size or 0
        self._journal.open(stamps, self._origin())
        if self._stamps.asleep:
            self._progress.note(
                f"{self._stamps.asleep} corrections mean nothing at present; `primaps corrections"
                f" {self._run.root}` tells why."
            )
        self._announce(bytes_to_come)
        self._progress.plan(("images", "lists"))
        self._progress.start("images", len(self._images), done=len(self._journal))
        for image in self._images:
            if image.name not in self._journal:
                self._add(exporter, image, stamps[image.name])
                self._progress.advance()
        self._progress.finish()
        if self._unchecked:
            self._progress.note(
                f"{self._unchecked} label maps are of an earlier version and do not say of which"
                " photograph they were made; it was not compared."
            )
        self._journal.write_failures(self._failures)
        done = tuple(image.name for image in self._images if image.name in self._journal)
        if not done:
            raise DatasetError(all_failed(self._failures))
        self._progress.start("lists", exporter.passes * len(done))
        self._target.announce = self._journal.note_list
        exporter.finish(self._records)
        self._progress.finish()
        return Exported(done, tuple(self._failures))

    def _announce(self, photographs: int) -> None:
        """How much disk photographs take; label files are small beside them."""
        if not self._settings.link and len(self._journal) < len(self._images):
            self._progress.note(
                f"Copies photographs of {photographs / 1e6:.0f} MB; --link makes links instead."
            )

    def _origin(self) -> Origin:
        names = {each.name: each.id for each in self._classes.classes}
        return Origin(names, self._settings.min_area, self._settings.unknown_below, self._model)

    def _add(self, exporter: Exporter, image: ImageFile, stamp: str) -> None:
        before = len(self._failures)
        with reported(self._failures, image, "export"):
            try:
                whole = self._export_image(image)
                content = exporter.add(whole)
            except BaseException:
                self._journal.discard(self._target.written())
                raise
            self._journal.add(
                Entry(
                    name=image.name,
                    stamp=stamp,
                    split=whole.split,
                    height=whole.height,
                    width=whole.width,
                    turned=whole.turned,
                    files=self._target.written(),
                    content=content,
                )
            )
        tell_failures(self._progress, self._failures[before:])

    def _export_image(self, image: ImageFile) -> ExportImage:
        """An image with its label map in classes.

        Raises:
            ImageError: If photograph or label map cannot be read, or do not fit each other.
        """
        lies = standing(image.path, image.page)
        recorded = read_png_info(self._run.labels(image.name)).get("image")
        if recorded is None:
            self._unchecked += 1
        else:
            check_photograph(image.path, file_checksum(image.path), recorded)
        label_map = self._label_map(image.name)
        if label_map.shape != (lies.height, lies.width):
            height, width = label_map.shape
            raise ImageError(
                f"Expected {image.path} to be {width} x {height} pixels, as its label map, but it"
                f" is {lies.width} x {lies.height}: it has changed. Segment or predict again."
            )
        return ExportImage(
            name=exported_name(image),
            stem=self._stems[exported_name(image)],
            split=self._settings.part(image.name),
            path=image.path,
            height=lies.height,
            width=lies.width,
            turned=lies.turned or image.page is not None,
            photograph=partial(upright_bytes, image.path, image.page, inputs_of(self._run)),
            label_map=lambda: label_map,
        )

    def _label_map(self, name: str) -> NDArray[np.uint8]:
        """(H, W) uint8 class ids, without what is uncertain or small."""
        if read_png_info(self._run.labels(name)).get("model") not in {None, self._model}:
            raise ImageError(
                f"Expected {self._run.labels(name)} to be made with the model that the names are"
                " for, but it was made with another one. Segment or predict again."
            )
        return exported_map(
            self._labels, name, self._settings.min_area, self._settings.unknown_below
        )

    def _records(self, split: str | None = None) -> Iterator[Record]:
        for image in self._images:
            wanted = split is None or self._settings.part(image.name) == split
            if wanted and image.name in self._journal:
                entry = self._journal.entry(image.name)
                self._progress.advance()
                yield Record(self._recorded(image, entry), entry.content)

    def _recorded(self, image: ImageFile, entry: Entry) -> ExportImage:
        return ExportImage(
            name=exported_name(image),
            stem=self._stems[exported_name(image)],
            split=entry.split,
            path=image.path,
            height=entry.height,
            width=entry.width,
            turned=entry.turned,
            photograph=partial(upright_bytes, image.path, image.page, inputs_of(self._run)),
            label_map=partial(self._label_map, image.name),
        )


def exported_map(
    labels: NamedLabels, name: str, min_area: int, unknown_below: float | None
) -> NDArray[np.uint8]:
    """A label map as an export holds it.

    Args:
        labels: The label maps of a folder under its names and corrections.
        name: Of the image.
        min_area: Regions with fewer pixels become unlabelled.
        unknown_below: Pixels whose certainty is lower, in [0, 1], become unlabelled, but those of
            which a person said what they are; None = none.

    Returns:
        (H, W) uint8 class ids; 255 = unlabelled.

    Raises:
        ImageError: If the label map or its certainty cannot be read.
        ConfigError: As `NamedLabels.binding`.
    """
    label_map = labels.read(name)
    if unknown_below is not None:
        path = labels.files.certainty(name)
        certainty = read_label_image(path)
        made, wanted = (
            read_png_info(each).get("model") for each in (path, labels.files.labels(name))
        )
        if made != wanted and made is not None:
            raise ImageError(
                f"Expected {path} to be made with the model of its label map, but it was made with"
                " another one. Make both again with --certainty of `primaps segment` or `primaps"
                " predict`."
            )
        if certainty.shape != label_map.shape:
            raise ImageError(
                f"Expected {path} to have the size of its label map, {label_map.shape}, but got"
                f" {certainty.shape}. Predict again."
            )
        uncertain = certainty < unknown_below * 255
        said = labels.corrected(name)
        label_map[uncertain if said is None else uncertain & ~said] = IGNORE_INDEX
    return without_small(label_map, min_area)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and modification time; None if the file cannot be had, which reading it will explain."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
