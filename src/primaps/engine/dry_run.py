"""What commands with shards, URLs or workers would do: what is done already, and what the rest
takes. Some images are tried; nothing is written.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.compute.cores import usable_cores
from primaps.config import Config
from primaps.engine.commands import Request
from primaps.engine.exporting import export_work, exported_shards
from primaps.engine.fetching import PHOTOGRAPHS
from primaps.engine.giving_out import workers_of
from primaps.engine.sharded import copy_records, plan_at
from primaps.outputs.export.registry import find_exporter
from primaps.pipeline.beginning import Choice
from primaps.pipeline.dry_run import not_stored, refusal, try_proposals
from primaps.pipeline.dry_run_of_export import photographs_line, size_line
from primaps.pipeline.dry_run_of_predict import refusal_of_model, try_label_map
from primaps.pipeline.estimates import duration, tried
from primaps.pipeline.exporting import ExportSettings
from primaps.pipeline.input_pages import all_pages
from primaps.pipeline.kept_store import bytes_on_disk, size_text
from primaps.pipeline.labelling import Extras, unlabelled
from primaps.pipeline.opening import PROPOSAL_STAGES
from primaps.pipeline.sampling import evenly
from primaps.pipeline.settings import settings_for
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.shards.copying import is_copied
from primaps.shards.places import Place, is_url
from primaps.shards.plan import Plan, check_plan, new_images, references_of, references_sha256
from primaps.shards.records import finished
from primaps.shards.references import Listing, Reference, list_references
from primaps.shards.staging import THREADS, stage
from primaps.types import FeatureExtractor, ImageFile

_TRIED: Final = 4
"""Images that are tried."""


@dataclass(frozen=True)
class _Command:
    """What a command does.

    Attributes:
        attempt: Tries images: seconds per image, all cores together, and bytes of what would be
            written of each that could be used.
        missing: Which of some images are not done in the usual folders.
        refused: Lines that tell what the folder was made with otherwise.
    """

    attempt: Callable[[Run, Sequence[ImageFile]], tuple[float, list[float]]]
    missing: Callable[[Run, Sequence[ImageFile]], Sequence[ImageFile]]
    refused: Callable[[Run], list[str]]


@dataclass(frozen=True)
class _Todo:
    """What there is, and what is left of it.

    Attributes:
        images: Number of all images.
        references: Images that are to be done.
        shards: Number of all shards; None = the usual folders.
        shards_left: Number of those that are to be done.
        copies: Images that are to be copied to the usual folders.
    """

    images: int
    references: tuple[Reference, ...]
    shards: int | None = None
    shards_left: int = 0
    copies: tuple[Reference, ...] = ()


def planned_proposals(request: Request, choice: Choice, began: float) -> list[str]:
    """Lines that tell what `primaps proposals` would do.

    Args:
        request: Images, outputs, engine.
        choice: Settings and backbone.
        began: `time.perf_counter` when the program began, since its start takes time too.

    Raises:
        PrimapsError: As `primaps.engine.commands.proposals`.
    """

    def attempt(run: Run, images: Sequence[ImageFile]) -> tuple[float, list[float]]:
        each, found = tried(run, images, lambda image: try_proposals(run, image))
        return each, [bytes_on_disk(run, 1, fit=False)] * len(found)

    with _records(request) as folder:
        config = choice.config(folder, request.progress)
        backbone = choice.extractor(folder, request.progress)
        command = _Command(attempt, not_stored, lambda run: refusal(run, PROPOSAL_STAGES))
        run = Run(RunFolder(folder), backbone, config, (), request.progress)
        return _planned(request, run, command, began)


def planned_predict(
    request: Request,
    backbone: FeatureExtractor,
    model: Model,
    config: Config,
    given: Mapping[str, Any],
    extras: Extras,
    began: float,
) -> list[str]:
    """Lines that tell what `primaps predict` would do.

    Args:
        request: Images, outputs, engine.
        backbone: The one that the model was fitted to.
        model: The prototypes.
        config: Settings of the model.
        given: Settings that the user gave.
        extras: What would be made besides.
        began: As for `planned_proposals`.

    Raises:
        PrimapsError: As `primaps.engine.commands.predict`.
    """

    def attempt(run: Run, images: Sequence[ImageFile]) -> tuple[float, list[float]]:
        each, found = tried(run, images, lambda image: try_label_map(run, model, extras, image))
        return each, [one.written for one in found]

    with _records(request) as folder:
        settings = settings_for(folder, config, given, request.progress)
        command = _Command(
            attempt,
            lambda run, images: unlabelled(run, model, extras, images),
            lambda run: refusal_of_model(run, model),
        )
        run = Run(RunFolder(folder), backbone, settings, (), request.progress)
        return _planned(request, run, command, began)


@contextlib.contextmanager
def _records(request: Request) -> Iterator[Path]:
    """The folder with the records of earlier commands, or a copy of it."""
    if request.place.is_local:
        yield request.place.folder
        return
    with tempfile.TemporaryDirectory(prefix="primaps") as name:
        copy_records(request.place, Path(name))
        yield Path(name)


def _planned(request: Request, run: Run, command: _Command, began: float) -> list[str]:
    found = request.listing()
    if found is None:
        listing = list_references(request.inputs, exclude=request.out)
        todo = _left_in_folders(request, listing, run, command)
    else:
        listing, request = found
        todo = _left(request, listing)
    lines = [*_images_lines(todo, request, listing), f"Backbone:    {run.backbone!r}"]
    with tempfile.TemporaryDirectory(prefix="primaps") as name:
        chosen = [todo.references[row] for row in evenly(len(todo.references), _TRIED)]
        staged = stage(chosen, Path(name)).images
        run.images = all_pages(staged) if run.config.inputs.pages == "all" else staged
        start = time.perf_counter() - began
        if not todo.references:
            lines.append("Time:        little, since everything is there")
        elif not run.images:
            lines.append("Time:        not known, since none of those that were tried could be had")
        else:
            run.chosen_threshold = run.chosen_threshold or run.folder.threshold
            each, written = command.attempt(run, run.images)
            lines += _takes(request, todo, len(chosen), run, (start, each), written)
        return lines + command.refused(run)


def _takes(
    request: Request,
    todo: _Todo,
    chosen: int,
    run: Run,
    times: tuple[float, float],
    written: Sequence[float],
) -> list[str]:
    """Disk and time of all that is to be done, by some images (pages count as images here)."""
    if not written:
        return ["Time:        not known, since none of those that were tried could be used"]
    start, each = times
    per_file = len(run.images) / chosen
    size = sum(written) / len(written) * per_file * len(todo.references)
    on_cpu = run.backbone.device.type == "cpu"
    together = min(usable_cores(), len(run.images)) if on_cpu else 1
    workers, cores = workers_of(request.options, request.device), usable_cores()
    if request.options.engine != "ray" and on_cpu:
        workers = min(workers, cores)
    seconds = start + each * together * per_file * len(todo.references) / workers
    by = f"{workers} worker{'s' if workers > 1 else ''}, by {len(written)} images that were tried"
    return [size_line(size, request.out), f"Time:        about {duration(seconds)} with {by}"]


def _images_lines(todo: _Todo, request: Request, listing: Listing) -> list[str]:
    left = len(todo.references)
    lines = [f"Images:      {todo.images}, {todo.images - left} of them done, {left} to do"]
    if todo.copies:
        size = size_text(sum(reference.size for reference in todo.copies))
        lines.append(f"Copies:      {len(todo.copies)} images, {size}, to {_copies(request)}")
    if todo.shards is not None:
        form, most = request.options.shard_format, request.options.shards
        done = todo.shards - todo.shards_left
        lines.append(
            f"Shards:      {todo.shards} of {most} images ({form}), {done} of them done,"
            f" {todo.shards_left} to do"
        )
    if listing.failures:
        lines.append(f"Failures:    {len(listing.failures)} inputs cannot be used")
    return lines


def _left(request: Request, listing: Listing) -> _Todo:
    """Shards that are not done of what is there, and further ones.

    Raises:
        ConfigError: As `primaps.shards.plan.make_plan`.
    """
    place, size = request.place, request.options.shards or 1
    plan, images = plan_at(place), len(listing.references)
    if plan is None:
        shards = -(-images // size)
        return _Todo(images, listing.references, shards, shards)
    check_plan(place, plan, size, request.options.shard_format or "tar")
    new = new_images(place, plan, listing)
    further = -(-len(new) // size)
    with ThreadPoolExecutor(THREADS, "records") as pool:
        parts = list(pool.map(lambda shard: _undone(place, plan, shard), range(plan.shards)))
    undone = [part for part in parts if part]
    references = (*(each for part in undone for each in part), *new)
    return _Todo(images, references, plan.shards + further, len(undone) + further)


def _undone(place: Place, plan: Plan, shard: int) -> list[Reference]:
    """The images of a shard; none if it is done."""
    references = references_of(place, shard)
    checksum = references_sha256(references)
    return [] if finished(place, shard, None, checksum, plan.shard_format) else references


def _copies(request: Request) -> Path:
    return request.place.folder / PHOTOGRAPHS


def _left_in_folders(request: Request, listing: Listing, run: Run, command: _Command) -> _Todo:
    """Images whose outputs in the usual folders are not there, of those that are far or near."""
    root = _copies(request)
    far = {each.name for each in listing.references if is_url(each.url) or each.member is not None}
    copies = [
        each
        for each in listing.references
        if each.name in far and not is_copied(each, root / each.name)
    ]
    lost = {each.name for each in copies}
    files = tuple(
        ImageFile(root / each.name if each.name in far else Path(each.url), each.name)
        for each in listing.references
        if each.name not in lost
    )
    images = all_pages(files) if run.config.inputs.pages == "all" else files
    left = lost | {path_name(image) for image in command.missing(run, images)}
    references = tuple(each for each in listing.references if each.name in left)
    return _Todo(len(listing.references), references, copies=tuple(copies))


def path_name(image: ImageFile) -> str:
    """Name of the file of an image, which a page of it extends."""
    return image.name if image.page is None else image.name.removesuffix(f".p{image.page:04d}")


def planned_export_shards(labels: str, out: str, settings: ExportSettings) -> list[str]:
    """Lines that tell what `primaps export` of label maps in shards would do.

    Args:
        labels: Folder or URL of ``primaps predict ... --shards``.
        out: Folder or URL of the data sets.
        settings: What is wanted.

    Raises:
        PrimapsError: As `primaps.engine.exporting.export_shards`.
    """
    find_exporter(settings.format)
    work, outputs = export_work(labels, out, settings)
    known = exported_shards(work, outputs)
    todo = [shard for shard, told in known.items() if told is None]
    images, done = outputs.plan.images, len(known) - len(todo)
    left = sum(outputs.plan.sizes[shard] for shard in todo)

    def sizes(shard: int) -> tuple[int, int]:
        """Bytes of the photographs of a shard, and of its label maps."""
        references = references_of(outputs.place, shard)
        members = [entry.members["labels"] for entry in outputs.record(shard).entries]
        return sum(each.size for each in references), sum(each.size for each in members)

    with ThreadPoolExecutor(THREADS, "records") as pool:
        found = list(pool.map(sizes, todo))
    photographs, maps = sum(each[0] for each in found), sum(each[1] for each in found)
    return [
        f"Images:      {images}, {images - left} of them up to date, {left} to do",
        f"Data sets:   {len(known)} (part-...), {done} of them up to date, {len(todo)} to do",
        f"Format:      {settings.format}",
        f"Photographs: {photographs_line(photographs, link=settings.link)}",
        size_line((0 if settings.link else photographs) + maps, out),
    ]
