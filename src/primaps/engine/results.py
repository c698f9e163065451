"""What came of a shard, put where it belongs: one file with its record, or files in a run
folder with a list of what else there is to tell.

The record comes last. A worker that dies before leaves nothing that counts; one that does the shard
again writes the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from primaps.engine.works import CERTAINTY_LINE, Work
from primaps.errors import CheckpointError, OutputError
from primaps.runs.run import Run
from primaps.runs.store import write_problem
from primaps.shards.places import Place
from primaps.shards.plan import references_of, references_sha256
from primaps.shards.records import (
    ShardRecord,
    entries_of,
    finished,
    shard_file,
    write_record,
)
from primaps.shards.writing import write_shard, writer_of
from primaps.types import Failure, ImageFile

_FORMAT: Final = "primaps-results-1"


@dataclass
class Result:
    """What came of a shard.

    Attributes:
        work: What was done.
        images: All images of the shard that are files, in the order of their names.
        places: Where an image came from by the path of its file, of those that were fetched.
        failures: Images that could not be used, of those that no run has.
        runs: The runs that did the work, each on some of the images.
    """

    work: Work
    images: Sequence[ImageFile]
    places: Mapping[str, str]
    failures: list[Failure]
    runs: list[Run] = field(default_factory=list)

    def all_failures(self) -> list[Failure]:
        """Failures under the addresses of the images, in the order of the images; first those that
        could not be fetched.
        """
        found = [*self.failures, *(failure for run in self.runs for failure in run.failures)]
        order = {image.place: number for number, image in enumerate(self.images)}
        return [
            self._named(each) for each in sorted(found, key=lambda each: order.get(each.path, -1))
        ]

    def warnings(self) -> list[dict[str, Any]]:
        """Lines of ``warnings.jsonl``, in the order of the images."""
        lines: list[dict[str, Any]] = []
        for run in self.runs:
            if run.folder.warnings_file.exists():
                text = run.folder.warnings_file.read_text("ascii")
                lines += [json.loads(line) for line in text.splitlines()]
        named = [{**line, "path": self._replaced(str(line["path"]))} for line in lines]
        return sorted(named, key=lambda line: str(line["image"]))

    def certainties(self) -> dict[str, str]:
        """Lines of ``certainty.jsonl`` by image."""
        lines: dict[str, str] = {}
        for run in self.runs:
            if run.folder.certainties.exists():
                for line in run.folder.certainties.read_text("ascii").splitlines():
                    lines[str(json.loads(line)["image"])] = line
        return dict(sorted(lines.items()))

    def counts(self) -> dict[str, int | float]:
        """Figures, which add up over shards."""
        total: dict[str, int | float] = {}
        for run in self.runs:
            for key, value in self.work.counts(run, list(run.images)).items():
                total[key] = total.get(key, 0) + value
        return {key: round(value, 4) for key, value in total.items()}

    def made(self) -> Iterator[tuple[Run, ImageFile, dict[str, Path]]]:
        """The images that something was made of, in the order of their names, with their files by
        kind.
        """
        owners = {image.name: run for run in self.runs for image in run.images}
        for image in self.images:
            run = owners.get(image.name)
            files = {} if run is None else self.work.files(run, image)
            if run is not None and files:
                yield run, image, files

    def _named(self, failure: Failure) -> Failure:
        return dataclasses.replace(
            failure, path=self._replaced(failure.path), reason=self._replaced(failure.reason)
        )

    def _replaced(self, text: str) -> str:
        """With addresses instead of fetched files."""
        for path, place in self.places.items():
            if path in text:
                text = text.replace(path, place)
        return text


def is_done(work: Work, place: Place, shard: int) -> dict[str, Any] | None:
    """What is to be told of a shard that is done; None if it is not."""
    if work.out is not None:
        result = read_files_result(place, shard)
        return (
            None
            if result is None
            else _told(result["images"], result["failures"], result["counts"])
        )
    checksum = references_sha256(references_of(place, shard))
    record = finished(place, shard, work.identity, checksum, work.shard_format)
    if record is None:
        return None
    return _told(len(record.entries) + len(record.failures), record.failures, record.counts)


def publish_shard(place: Place, shard: int, result: Result, temporary: Path) -> dict[str, Any]:
    """Write the file of a shard, then its record.

    Args:
        place: Where they go.
        shard: Number of the shard.
        result: What came of it.
        temporary: Where the file is put together.

    Raises:
        OutputError: If something cannot be written.
    """
    lines = result.certainties()
    work, sha256 = result.work, dict[str, str]()
    made: dict[str, dict[str, Path | bytes]] = {}
    for run, image, files in result.made():
        sha256[image.name] = work.checksum(run, image)
        made[image.name] = dict(files)
        if image.name in lines:
            made[image.name][CERTAINTY_LINE] = lines[image.name].encode("ascii")
    try:
        written = write_shard(temporary, work.shard_format, made, work.kinds)
        with temporary.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = temporary.stat().st_size
    except OSError as error:
        raise OutputError(write_problem(temporary, error)) from error
    place.publish(shard_file(shard, work.shard_format), temporary)
    record = ShardRecord(
        shard,
        digest,
        size,
        entries_of(written, sha256),
        tuple(result.all_failures()),
        tuple(result.warnings()),
        result.counts(),
        work.identity,
        references_sha256(references_of(place, shard)),
        work.shard_format,
        writer_of(work.shard_format),
    )
    write_record(place, record)
    return _told(len(result.images), record.failures, record.counts)


def publish_files(work: Work, place: Place, shard: int, result: Result) -> dict[str, Any]:
    """Move the files of a shard into the run folder, then write what else there is to tell.

    Raises:
        OutputError: If something cannot be written.
    """
    assert work.out is not None
    failures, warnings, counts = result.all_failures(), result.warnings(), result.counts()
    certainties = result.certainties()
    # looked at before they are moved: whether an image is done shows in its files
    for run, files in [(run, files) for run, _, files in result.made()]:
        for path in files.values():
            _move(path, Path(work.out) / path.relative_to(run.folder.root))
    record = {
        "format": _FORMAT,
        "images": len(result.images),
        "failures": [dataclasses.asdict(failure) for failure in failures],
        "warnings": warnings,
        "certainties": certainties,
        "counts": counts,
    }
    place.write(_results_path(shard), (json.dumps(record) + "\n").encode("ascii"))
    return _told(len(result.images), failures, counts)


def read_files_result(place: Place, shard: int) -> dict[str, Any] | None:
    """What `publish_files` wrote of a shard; None if it is not done.

    Raises:
        CheckpointError: If it is damaged.
    """
    path = _results_path(shard)
    if not place.exists(path):
        return None
    try:
        record: dict[str, Any] = json.loads(place.read(path))
        known = record["format"] == _FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(_unreadable(place.at(path), str(error))) from error
    if not known:
        raise CheckpointError(_unreadable(place.at(path), f"{record['format']!r:.60}"))
    return record


def _unreadable(path: str, found: str) -> str:
    return (
        f"Expected {path} to tell what came of a shard, but got: {found}. Delete it and run the"
        " same command again."
    )


def _results_path(shard: int) -> str:
    return f"results/{shard:06d}.json"


def _told(images: int, failures: Sequence[Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    return {"images": images, "failures": len(failures), "counts": dict(counts)}


def _move(path: Path, target: Path) -> None:
    """On the same file system, where a rename is complete or not done."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise OutputError(write_problem(target, error)) from error
