"""Annotated data sets of label maps that lie in shards: one complete data set per shard, in folders
``part-000000``, ``part-000001``, ...
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.engine.giving_out import given_out
from primaps.engine.options import EngineOptions
from primaps.engine.orders import Order, Task, scratch_of
from primaps.errors import CheckpointError, ConfigError, DatasetError
from primaps.pipeline.exporting import Exported, ExportSettings, export
from primaps.pipeline.failures import all_failed
from primaps.pipeline.framed import image_entry
from primaps.pipeline.input_pages import all_pages
from primaps.progress import Progress
from primaps.runs.run import RunFolder
from primaps.runs.store import atomic_write, fingerprint, read_json, write_json
from primaps.shards.places import Place, is_url, place_of
from primaps.shards.plan import references_of
from primaps.shards.reading import Output, ShardedOutputs
from primaps.shards.staging import stage
from primaps.types import Failure

_FORMAT: Final = "primaps-export-part-1"
_PARTS: Final = ".parts"
_NAMES: Final = "classes.yaml"


@dataclass(frozen=True)
class ExportWork:
    """What all workers of an export do to their shards.

    Attributes:
        place: Folder or URL of the label maps.
        out: Folder of the data sets.
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
        return Order(str(Path(self.out) / _PARTS), self.place, self.scratch, "cpu", record)

    def part(self, shard: int) -> Path:
        """Folder of the data set of a shard."""
        return Path(self.out) / f"part-{shard:06d}"

    def record_path(self, shard: int) -> Path:
        """Where it is written that the data set of a shard is done."""
        return Path(self.out) / _PARTS / f"{shard:06d}.json"

    def identity(self, shard: int) -> str:
        """Fingerprint of everything that the data set of a shard depends on."""
        place = place_of(self.place)
        names = place.read(_NAMES).decode("utf-8", "replace")
        made = ShardedOutputs(place).record(shard).sha256
        return fingerprint([dict(self.settings), names, made])

    def done(self, shard: int) -> dict[str, Any] | None:
        """What is to be told of a shard whose data set is done; None if it is not."""
        path = self.record_path(shard)
        if not path.exists():
            return None
        record = read_json(path)
        if record.get("format") != _FORMAT or record.get("identity") != self.identity(shard):
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
        write_json(work.record_path(shard), record)
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
    try:
        exported = export(folder.root, work.part(shard), work.asked)
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


def export_shards(
    labels: str, out: Path, settings: ExportSettings, options: EngineOptions, progress: Progress
) -> tuple[int, tuple[Failure, ...]]:
    """Make a data set of every shard. Resumable: those that are done stay.

    Args:
        labels: Folder or URL of ``primaps predict ... --shards``.
        out: Folder of the data sets.
        settings: What is wanted.
        options: Engine, workers, limits.
        progress: Who is told.

    Returns:
        Number of images in all data sets, and the inputs that could not be used.

    Raises:
        CheckpointError: If there are no label maps.
        ConfigError: If links are wanted of images that are not on disk.
        DatasetError: If no image could be used.
        PrimapsError: As `primaps.pipeline.exporting.export`.
    """
    place = place_of(labels)
    outputs = ShardedOutputs(place)
    _check(place, outputs, settings)
    work = ExportWork(
        place.url,
        str(out.absolute()),
        str(out.absolute() / _PARTS),
        json.loads(json.dumps(dataclasses.asdict(settings))),
    )
    shards = range(outputs.plan.shards)
    known = {shard: work.done(shard) for shard in shards}
    todo = [shard for shard in shards if known[shard] is None]
    failed = sum(each["failures"] for each in known.values() if each is not None)
    done = sum(each["images"] for each in known.values() if each is not None)
    progress.start("images", outputs.plan.images, done=done)
    limit = options.max_failures
    most = None if limit is None else limit.most(outputs.plan.images)
    for _ in given_out(work.order(), todo, options, progress, failed, most):
        pass
    progress.finish()
    records = [read_json(work.record_path(shard)) for shard in shards]
    failures = tuple(Failure(**each) for record in records for each in record["failures"])
    images = sum(int(record["images"]) for record in records)
    if not images:
        raise DatasetError(all_failed(failures))
    lines = "".join(json.dumps(dataclasses.asdict(failure)) + "\n" for failure in failures)
    if lines:
        atomic_write(out / "failures.jsonl", lines.encode("ascii"))
    return images, failures


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
