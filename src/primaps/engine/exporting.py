"""Annotated data sets of label maps that lie in shards: one complete data set per shard, in folders
``part-000000``, ``part-000001``, ... And data sets in an object store: each is put together on disk
and published as a whole.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.engine.far_scratch import far_scratch
from primaps.engine.giving_out import given_out
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Order, Task, scratch_of
from primaps.engine.publishing import publish_folder, refuse_others
from primaps.errors import CheckpointError, ConfigError, DatasetError, PlaceError
from primaps.pipeline.dry_run_of_export import planned_export
from primaps.pipeline.exporting import Exported, ExportSettings, export
from primaps.pipeline.failures import all_failed
from primaps.pipeline.framed import image_entry
from primaps.pipeline.input_pages import all_pages
from primaps.progress import Progress, Silent
from primaps.runs.run import RunFolder
from primaps.runs.store import atomic_write, fingerprint, write_json
from primaps.shards.places import Place, is_url, place_of
from primaps.shards.plan import references_of
from primaps.shards.reading import Output, ShardedOutputs
from primaps.shards.staging import THREADS, stage
from primaps.types import Failure

_FORMAT: Final = "primaps-export-part-1"
_PARTS: Final = ".parts"
_NAMES: Final = "classes.yaml"

FAILURES: Final = "failures.jsonl"
"""One line of JSON per input that could not be used; absent if there is none."""


@dataclass(frozen=True)
class ExportWork:
    """What all workers of an export do to their shards.

    Attributes:
        place: Folder or URL of the label maps.
        out: Folder or URL of the data sets.
        scratch: Folder on disk for what is not finished.
        settings: Of the export, as JSON values.
    """

    place: str
    out: str
    scratch: str
    settings: Mapping[str, Any]

    @property
    def asked(self) -> ExportSettings:
        """Settings of the export."""
        values = {**self.settings, "split": tuple(self.settings["split"])}
        return ExportSettings(**values)

    def order(self) -> Order:
        """The work for those who hand it out."""
        kind = type(self)
        record = {
            "kind": f"{kind.__module__}:{kind.__qualname__}",
            "values": dataclasses.asdict(self),
        }
        return Order(place_of(self.out).at(_PARTS), self.place, self.scratch, "cpu", record)

    def part(self, shard: int) -> Place:
        """Where the data set of a shard is."""
        return place_of(self.out).below(f"part-{shard:06d}")

    def record(self, shard: int) -> dict[str, Any] | None:
        """What is written of the data set of a shard that is done; None if nothing is."""
        try:
            value = json.loads(place_of(self.out).read(_record_path(shard)))
        except PlaceError as error:
            if not error.missing:
                raise
            return None
        except (ValueError, RecursionError):
            return None  # torn: it is made again
        return value if isinstance(value, dict) and value.get("format") == _FORMAT else None

    def identity(self, shard: int) -> str:
        """Fingerprint of everything that the data set of a shard depends on."""
        place = place_of(self.place)
        names = place.read(_NAMES).decode("utf-8", "replace")
        made = ShardedOutputs(place).record(shard).sha256
        return fingerprint([dict(self.settings), names, made])

    def done(self, shard: int) -> dict[str, Any] | None:
        """What is to be told of a shard whose data set is done; None if it is not."""
        record = self.record(shard)
        if record is None or record.get("identity") != self.identity(shard):
            return None
        failures: list[Any] = record["failures"]
        return {
            "images": record["images"] + len(failures),
            "failures": len(failures),
            "counts": {"exported": record["images"]},
        }


class ExportWorker:
    """Makes data sets of shards, one after the other.

    Args:
        work: What is to be done.
    """

    def __init__(self, work: ExportWork) -> None:
        self.work = work

    def __call__(self, task: Task) -> dict[str, Any]:
        """Make the data set of a shard, unless it is done.

        Raises:
            PrimapsError: If something concerns more than one image.
        """
        work, shard = self.work, task.shard
        known = work.done(shard)
        if known is not None:
            return known
        identity, scratch = work.identity(shard), scratch_of(work.scratch, shard)
        exported, places = _exported(work, shard, scratch)
        failures = [_named(failure, places) for failure in exported.failures]
        record = {
            "format": _FORMAT,
            "identity": identity,
            "images": len(exported.images),
            "failures": [dataclasses.asdict(failure) for failure in failures],
        }
        line = (json.dumps(record) + "\n").encode("ascii")
        place_of(work.out).write(_record_path(shard), line)
        shutil.rmtree(scratch, ignore_errors=True)
        told = work.done(shard)
        assert told is not None  # just written
        return told


def _exported(work: ExportWork, shard: int, scratch: Path) -> tuple[Exported, Mapping[str, str]]:
    """The data set of a shard, and where images came from by the path of their files."""
    place = place_of(work.place)
    staged = stage(references_of(place, shard), scratch / "staged")
    record = json.loads(place.read("run.json"))
    pages = record.get("config", {}).get("inputs", {}).get("pages") == "all"
    images = {image.name: image for image in (all_pages(staged.images) if pages else staged.images)}
    outputs, folder = ShardedOutputs(place), RunFolder(scratch / "labels")
    entries = outputs.record(shard).entries
    found = [Output(shard, entry) for entry in entries if entry.name in images]
    for output in found:
        _unpacked(outputs, output, "labels", folder.labels(output.name))
        if "certainty" in output.entry.members:
            _unpacked(outputs, output, "certainty", folder.certainty(output.name))
    write_json(
        folder.images_file,
        {"images": {output.name: image_entry(images[output.name]) for output in found}},
    )
    atomic_write(folder.root / _NAMES, place.read(_NAMES))
    write_json(folder.run_json, record)
    part = work.part(shard)
    try:
        made = part.folder if part.is_local else scratch / "export"
        exported = export(folder.root, made, work.asked)
        if not part.is_local:
            publish_folder(made, part, work.asked.format, Silent())
    except DatasetError as error:
        if found:
            raise
        failure = Failure(work.place, "export", str(error))
        return Exported((), (failure,)), staged.places
    failures = (*staged.failures, *exported.failures)
    return dataclasses.replace(exported, failures=failures), staged.places


def _unpacked(outputs: ShardedOutputs, output: Output, kind: str, path: Path) -> None:
    """Write a member as a file, with a time that is the same after an interruption."""
    atomic_write(path, outputs.read(output, kind))
    os.utime(path, ns=(0, 0))


def _named(failure: Failure, places: Mapping[str, str]) -> Failure:
    """Under the address of the image instead of the fetched file."""
    path, reason = failure.path, failure.reason
    for staged, place in places.items():
        path, reason = path.replace(staged, place), reason.replace(staged, place)
    return Failure(path, failure.stage, reason)


def export_to_store(
    folder: Path, out: str, settings: ExportSettings, progress: Progress
) -> Exported:
    """Make a data set of a folder of label maps in an object store: on disk first, then published.
    What has arrived of an earlier one is not sent again.

    Args:
        folder: Run folder, or a folder of predicted label maps.
        out: URL.
        settings: What is wanted.
        progress: Who is told.

    Raises:
        ConfigError: If links are wanted, or there is something else.
        PrimapsError: As `primaps.pipeline.exporting.export`.
    """
    place = place_of(out)
    _refuse_links(place, settings)
    refuse_others(place, settings.format)
    with tempfile.TemporaryDirectory(prefix="primaps") as name:
        made = Path(name) / "export"
        exported = export(folder, made, settings, progress)
        publish_folder(made, place, settings.format, progress)
    return exported


def planned_export_to_store(folder: Path, out: str, settings: ExportSettings) -> list[str]:
    """Lines that tell what `export_to_store` would do.

    Raises:
        PrimapsError: As there.
    """
    _refuse_links(place_of(out), settings)
    refuse_others(place_of(out), settings.format)
    return planned_export(folder, out, settings)


def export_shards(
    labels: str, out: str, settings: ExportSettings, options: EngineOptions, progress: Progress
) -> tuple[int, tuple[Failure, ...]]:
    """Make a data set of every shard. Resumable: those that are done stay.

    Args:
        labels: Folder or URL of ``primaps predict ... --shards``.
        out: Folder or URL of the data sets.
        settings: What is wanted.
        options: Engine, workers, limits.
        progress: Who is told.

    Returns:
        Number of images in all data sets, and the inputs that could not be used.

    Raises:
        CheckpointError: If there are no label maps.
        ConfigError: If links are wanted of images that are not on disk, or in an object store.
        DatasetError: If no image could be used.
        PrimapsError: As `primaps.pipeline.exporting.export`.
    """
    work, outputs = export_work(labels, out, settings)
    shards = range(outputs.plan.shards)
    known = exported_shards(work, outputs)
    todo = [shard for shard in shards if known[shard] is None]
    failed = sum(each["failures"] for each in known.values() if each is not None)
    done = sum(each["images"] for each in known.values() if each is not None)
    progress.start("images", outputs.plan.images, done=done)
    limit = options.max_failures
    most = None if limit is None else limit.most(outputs.plan.images)
    for _ in given_out(work.order(), todo, options, progress, failed, most):
        pass
    progress.finish()
    with ThreadPoolExecutor(THREADS, "records") as pool:
        records = [record for record in pool.map(work.record, shards) if record is not None]
    failures = tuple(Failure(**each) for record in records for each in record["failures"])
    images = sum(int(record["images"]) for record in records)
    if not images:
        raise DatasetError(all_failed(failures))
    lines = "".join(json.dumps(dataclasses.asdict(failure)) + "\n" for failure in failures)
    if lines:
        place_of(out).write(FAILURES, lines.encode("ascii"))
    else:
        place_of(out).remove(FAILURES)
    return images, failures


def export_work(
    labels: str, out: str, settings: ExportSettings
) -> tuple[ExportWork, ShardedOutputs]:
    """The work of `export_shards`, and the label maps that it is done to.

    Raises:
        PrimapsError: As there.
    """
    place, target = place_of(labels), place_of(out)
    _refuse_links(target, settings)
    outputs = ShardedOutputs(place)
    _check(place, outputs, settings)
    scratch = target.folder / _PARTS if target.is_local else far_scratch(target.url)
    asked = json.loads(json.dumps(dataclasses.asdict(settings)))
    return ExportWork(place.url, target.url, str(scratch), asked), outputs


def exported_shards(work: ExportWork, outputs: ShardedOutputs) -> dict[int, dict[str, Any] | None]:
    """What there is to tell of every shard whose data set is done; None of those that are not."""
    shards = range(outputs.plan.shards)
    with ThreadPoolExecutor(THREADS, "records") as pool:
        return dict(zip(shards, pool.map(work.done, shards), strict=True))


def _record_path(shard: int) -> str:
    """Where it is written that the data set of a shard is done."""
    return f"{_PARTS}/{shard:06d}.json"


def _refuse_links(place: Place, settings: ExportSettings) -> None:
    if settings.link and not place.is_local:
        raise ConfigError(
            f"Expected --out on disk for --link, but got {place.url}: an object store has no links."
            " Leave --link away."
        )


def _check(place: Place, outputs: ShardedOutputs, settings: ExportSettings) -> None:
    if not place.exists(_NAMES) or outputs.run_record.get("command") != "predict":
        raise CheckpointError(
            f"Expected label maps in {place.url}, from `primaps predict ... --shards` that is"
            " finished, but there are none."
        )
    if settings.link and any(
        is_url(each.url) or each.member is not None for each in references_of(place, 0)
    ):
        raise ConfigError(
            "Expected photographs on disk for --link, but they lie in an object store or in tar"
            " files. Leave --link away."
        )
