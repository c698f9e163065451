"""Work shared out between workers whose outputs are shards with a manifest: for more images than a
file system holds well, on disk or in an object store.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from primaps.config import Config
from primaps.data.looking import Look
from primaps.engine.far_scratch import far_scratch
from primaps.engine.folders import PARTS, common_values
from primaps.engine.giving_out import given_out
from primaps.engine.looking_apart import LookApart
from primaps.engine.options import SHARD_SIZE, EngineOptions
from primaps.engine.results import is_done
from primaps.engine.works import PredictWork, ProposalsWork, Work, model_files
from primaps.errors import CheckpointError, ConfigError, DatasetError, PrimapsError
from primaps.pipeline.commands import finishing
from primaps.pipeline.failures import all_failed
from primaps.pipeline.input_pages import all_pages
from primaps.pipeline.labelling import Extras
from primaps.pipeline.opening import PROPOSAL_STAGES, claim
from primaps.pipeline.predicting import claim_for_model, take_names
from primaps.progress import Progress
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import atomic_write_parts, remove_file
from primaps.shards.places import Place
from primaps.shards.plan import IN_SHARDS, PLAN_FILE, Plan, load_plan, make_plan
from primaps.shards.reading import ShardedOutputs
from primaps.shards.records import ShardRecord, read_record, record_file
from primaps.shards.references import Listing, list_references
from primaps.shards.staging import stage
from primaps.types import Failure, FeatureExtractor

SAMPLE: Final = 200
"""Images at most that threshold and ranges of values are settled on."""

MANIFEST: Final = "manifest.jsonl"
"""One line per image: its shard, checksum and members."""

_RECORDS: Final = ("run.json", "classes.yaml")
_LISTS: Final = ("failures.jsonl", "warnings.jsonl", "metrics.prom", MANIFEST)
_REQUESTS: Final = 16
_AT_A_TIME: Final = 64
"""Records in memory."""

_FOR_GOOD: Final = ("scan", "read")
"""Stages of failures that are the image's own."""


@contextlib.contextmanager
def record_folder(place: Place) -> Iterator[Path]:
    """A folder on disk for the records of a command while the block runs: the place itself, or a
    copy of what an object store has, which is written back in any case.

    Args:
        place: Where outputs go.

    Raises:
        PlaceError: If the place cannot be reached.
        OutputError: If it cannot be written.
    """
    if place.is_local:
        yield place.folder
        return
    with tempfile.TemporaryDirectory(prefix="primaps") as name:
        folder = Path(name)
        copy_records(place, folder)
        try:
            yield folder
        except PrimapsError as error:
            error.args = tuple(str(each).replace(name, place.url) for each in error.args)
            raise
        finally:
            for each in (*_RECORDS, *_LISTS):
                if (folder / each).exists():
                    place.publish(each, folder / each)


def copy_records(place: Place, folder: Path) -> None:
    """Copy the records of earlier commands from an object store, as far as there are any.

    Raises:
        PlaceError: If it cannot be reached.
        OutputError: If they cannot be written.
    """
    for each in _RECORDS:
        if place.exists(each):
            place.fetch(each, folder / each)


@dataclass(frozen=True)
class Sharded:
    """A command with shards.

    Attributes:
        place: Where outputs go.
        folder: Where its records are, from `record_folder`.
        listing: The images.
        inputs: What the user gave, for the record.
        backbone: The frozen feature extractor.
        config: All settings.
        device: Where backbones run, as the user said it.
        options: Engine, workers, limits.
        overwrite: Redo what other settings made.
        progress: Who is told.
    """

    place: Place
    folder: Path
    listing: Listing
    inputs: Sequence[str]
    backbone: FeatureExtractor
    config: Config
    device: str
    options: EngineOptions
    overwrite: bool
    progress: Progress

    def proposals(self) -> Run:
        """Features and mask proposals.

        Raises:
            PrimapsError: As `primaps.pipeline.proposals`.
        """
        again = self._ended()
        with self._looking() as look, self._sampled(look) as run:
            claim(run, PROPOSAL_STAGES, overwrite=self.overwrite, look=look)
        run.images = ()  # the plan has them

        def work() -> Work:
            return ProposalsWork(**self._values(run))

        self._done(run, "proposals", "proposals", work, again=again)
        return run

    def predict(self, model: Model, names: Path, extras: Extras) -> Run:
        """Label maps with a fitted model.

        Args:
            model: The prototypes.
            names: Folder of the model, or of its run.
            extras: What is made beside label maps.

        Raises:
            PrimapsError: As `primaps.pipeline.predict_images`.
        """
        again = self._ended()
        with self._looking() as look, self._sampled(look) as run:
            claim(run, ("backbone", "predict"), overwrite=self.overwrite, look=look)
        run.images = ()  # the plan has them
        claim_for_model(run, model, overwrite=self.overwrite)

        def work() -> Work:
            take_names(run, model, names)
            return PredictWork(
                **self._values(run),
                model=model_files(names),
                certainty=extras.certainty,
                overlays=extras.overlays,
            )

        self._done(run, "predict", "label maps", work, again=again)
        return run

    def _looking(self) -> contextlib.closing[LookApart]:
        """Who looks into images before the workers do, while the block runs."""
        return contextlib.closing(LookApart(self.options.limits))

    def _ended(self) -> bool:
        """Whether an earlier command came to its end, so that this one does not go on with it."""
        status = RunFolder(self.folder).record.get("status")
        return status not in {None, "running", "interrupted"}

    @contextlib.contextmanager
    def _sampled(self, look: Look) -> Iterator[Run]:
        """A run on an even sample of the images, on which threshold and ranges of values are
        settled; on none if they are settled already.
        """
        folder = RunFolder(self.folder)
        known = "sample" in folder.record and not self.overwrite
        references = self.listing.references
        count = min(SAMPLE, len(references))
        chosen = [references[(2 * at + 1) * len(references) // (2 * count)] for at in range(count)]
        with tempfile.TemporaryDirectory(prefix="primaps") as staged:
            files = () if known else stage(chosen, Path(staged)).images
            images = all_pages(files, look) if self.config.inputs.pages == "all" else files
            failures = list(self.listing.failures)
            run = Run(folder, self.backbone, self.config, images, self.progress, failures)
            if not self.place.exists(PLAN_FILE):
                size, form = self.options.shards or SHARD_SIZE, self.options.shard_format or "tar"
                folder.record[IN_SHARDS] = {"size": size, "format": form}
            if not known:
                folder.record["sample"] = {
                    "of": len(references),
                    "images": [reference.name for reference in chosen],
                }
            yield run

    def _values(self, run: Run) -> dict[str, Any]:
        scratch = self.folder / PARTS if self.place.is_local else far_scratch(self.place.url)
        values = common_values(run, self.device, scratch)
        form = self.options.shard_format or "tar"
        return {**values, "place": self.place.url, "out": None, "shard_format": form}

    def _done(
        self, run: Run, command: str, stage_name: str, make: Callable[[], Work], *, again: bool
    ) -> None:
        with finishing(run, command, self.inputs):
            work = make()
            plan = make_plan(
                self.place, self.listing, self.options.shards or SHARD_SIZE, work.shard_format
            )
            if again:
                self._undo_what_may_heal(plan)
            todo, known, failed = self._todo(work, plan)
            limit = self.options.max_failures
            most = None if limit is None else limit.most(plan.images + len(plan.failures))
            deaths = 0
            with run.stage(stage_name, plan.images if todo else 0):
                run.progress.start(stage_name, plan.images, done=known)
                for finished in given_out(
                    work.order(), todo, self.options, run.progress, failed, most
                ):
                    deaths += finished.deaths
            run.counts |= self._summed(run, plan)
            run.counts["shards"] = {"number": plan.shards, "made": len(todo)}
            run.counts["engine"] = {
                "name": self.options.engine or "local",
                "workers": self.options.workers,
                "workers_that_died": deaths,
            }
        shutil.rmtree(work.scratch, ignore_errors=True)

    def _undo_what_may_heal(self, plan: Plan) -> None:
        """Have shards made again that lack images for reasons outside of these: the network, or
        limits of time and memory, which may be others by now.
        """
        for record in self._records(plan):
            if record is not None and any(
                failure.stage not in _FOR_GOOD for failure in record.failures
            ):
                self.place.remove(record_file(record.number, plan.shard_format))

    def _todo(self, work: Work, plan: Plan) -> tuple[list[int], int, int]:
        """Numbers of the shards that are to be done, images in those that are done, and inputs that
        failed there.
        """
        with ThreadPoolExecutor(_REQUESTS, "records") as pool:
            told = list(
                pool.map(lambda shard: is_done(work, self.place, shard), range(plan.shards))
            )
        todo = [shard for shard, each in enumerate(told) if each is None]
        done = [each for each in told if each is not None]
        failed = len(plan.failures) + sum(each["failures"] for each in done)
        return todo, sum(each["images"] for each in done), failed

    def _summed(self, run: Run, plan: Plan) -> dict[str, Any]:
        """Write manifest and warnings from the records, note the failures, and add up counts."""
        totals = _Totals()
        atomic_write_parts(self.folder / MANIFEST, totals.manifest(self._all_records(plan)))
        run.failures.extend(totals.failures)
        if totals.warnings:
            lines = (_line(each) for record in self._all_records(plan) for each in record.warnings)
            atomic_write_parts(run.folder.warnings_file, lines)
        else:
            remove_file(run.folder.warnings_file)
        if not totals.images:
            run.folder.write_failures(run.failures)
            raise DatasetError(all_failed(run.failures))
        return totals.counted()

    def _all_records(self, plan: Plan) -> Iterator[ShardRecord]:
        for record in self._records(plan):
            assert record is not None  # all are done
            yield record

    def _records(self, plan: Plan) -> Iterator[ShardRecord | None]:
        """Those of all shards, a few at a time; None where there is none that can be read."""

        def read(shard: int) -> ShardRecord | None:
            with contextlib.suppress(CheckpointError):
                return read_record(self.place, shard, plan.shard_format)
            return None

        with ThreadPoolExecutor(_REQUESTS, "records") as pool:
            for start in range(0, plan.shards, _AT_A_TIME):
                yield from pool.map(read, range(start, min(start + _AT_A_TIME, plan.shards)))


@dataclass
class _Totals:
    """What the records of all shards say together.

    Attributes:
        images: That something was made of.
        warnings: Number of images that were used in another way than plain 8-bit RGB.
        failures: Images that could not be used.
        counts: Figures that add up.
    """

    images: int = 0
    warnings: int = 0
    failures: list[Failure] = field(default_factory=list)
    counts: dict[str, float] = field(default_factory=dict)

    def manifest(self, records: Iterable[ShardRecord]) -> Iterator[bytes]:
        """Lines of the manifest, of records that are added up meanwhile."""
        for record in records:
            self.images += len(record.entries)
            self.warnings += len(record.warnings)
            self.failures.extend(record.failures)
            for key, value in record.counts.items():
                self.counts[key] = self.counts.get(key, 0) + value
            yield from _manifest_lines(record)

    def counted(self) -> dict[str, Any]:
        """Figures for ``run.json``."""
        counts: dict[str, Any] = dict(self.counts)
        coverage = counts.pop("coverage_sum", None)
        if coverage is not None:
            counts["coverage"] = {"mean": round(coverage / max(1, self.images), 4)}
        return {**counts, "images": self.images}


def listing_for(place: Place, inputs: Sequence[str]) -> Listing:
    """The images of inputs, for a command whose outputs go to a place.

    Raises:
        ConfigError: If there is a run with the usual folders.
        DatasetError: If there is no image.
    """
    if place.exists("run.json") and shards_at(place) is None:
        raise ConfigError(
            f"Expected --out to be new, or made with --shards, but {place.url} is a run with the"
            " usual folders. Choose another --out, or give --shards off."
        )
    return list_references(inputs, exclude=place.url)


def plan_at(place: Place) -> Plan | None:
    """The plan of what lies at a place; None if there are no shards.

    Raises:
        PlaceError: If it cannot be reached.
        CheckpointError: If its plan is damaged.
    """
    return load_plan(place) if place.exists(PLAN_FILE) else None


def shards_at(place: Place) -> tuple[int, str] | None:
    """Images per shard and format of what lies at a place, or was begun there; None if there are no
    shards.

    Raises:
        PlaceError: If it cannot be reached.
        CheckpointError: If its plan or its record is damaged.
    """
    plan = plan_at(place)
    if plan is not None:
        return plan.shard_size, plan.shard_format
    if not place.exists("run.json"):
        return None
    begun = ShardedOutputs(place).run_record.get(IN_SHARDS)
    return None if begun is None else (int(begun["size"]), str(begun["format"]))


def _manifest_lines(record: ShardRecord) -> Iterator[bytes]:
    for entry in record.entries:
        yield _line(
            {
                "name": entry.name,
                "shard": record.number,
                "sha256": entry.sha256,
                "members": {
                    kind: [member.offset, member.size] for kind, member in entry.members.items()
                },
            }
        )


def _line(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(value), ensure_ascii=True) + "\n").encode("ascii")
