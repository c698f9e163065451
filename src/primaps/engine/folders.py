"""Work shared out between workers whose outputs are the usual folders.

Beside them, in ``.parts``, lies what is not finished: the plan of the images that were to be done
when the command was first begun, what workers have told so far, and their scratch folders. It goes
when the command is done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from primaps.config import to_dict
from primaps.data.looking import Look
from primaps.engine.giving_out import given_out, workers_of
from primaps.engine.options import EngineOptions
from primaps.engine.results import read_files_result
from primaps.engine.works import (
    BackboneRecord,
    PredictWork,
    ProposalsWork,
    Work,
    model_files,
    work_settings,
)
from primaps.pipeline.commands import finishing
from primaps.pipeline.extraction import begin_extraction, end_extraction
from primaps.pipeline.kept_store import kept_views, shrink
from primaps.pipeline.labelling import Extras, end_labelling, unlabelled
from primaps.pipeline.left_outputs import remove_left_outputs
from primaps.pipeline.opening import claim
from primaps.pipeline.predicting import (
    claim_for_model,
    finish_predicted,
    refuse_run,
    take_names,
)
from primaps.runs.model import Model
from primaps.runs.run import Run, read_warnings
from primaps.runs.store import atomic_write_parts, fingerprint, write_json
from primaps.shards.places import Place, place_of
from primaps.shards.plan import PLAN_FILE, load_plan, make_plan
from primaps.shards.references import Listing, Reference
from primaps.types import Failure, ImageFile, ReadingNote

PARTS: Final = ".parts"
"""Folder of what is not finished."""

_KEY: Final = "key.json"
_MOST: Final = 64
"""Images of a shard at most: a worker that dies loses little, and workers end at the same time."""

_SHARDS_PER_WORKER: Final = 8


def proposals_by_workers(
    run: Run, options: EngineOptions, device: str, *, inputs: Sequence[str]
) -> None:
    """The proposals stage by workers; the folder is as the ordinary command leaves it.

    Args:
        run: Its folder is claimed.
        options: Engine, workers, limits.
        device: Where backbones run, as the user said it.
        inputs: For the record.

    Raises:
        PrimapsError: As `primaps.pipeline.proposals`.
    """
    with finishing(run, "proposals", inputs):
        work = ProposalsWork(**common_values(run, device, run.folder.root / PARTS))
        missing = begin_extraction(run, kept_views(run.config))
        with run.stage("proposals", len(missing)):
            done = _shared_out(run, missing, work, options)
        run.fail(done.failures)
        run.counts |= {"engine": done.engine}
        end_extraction(run, len(missing))
        shrink(run)
    done.remove()


def claim_to_predict(run: Run, model: Model, *, overwrite: bool, look: Look) -> None:
    """Take the folder of a run for label maps by workers.

    Args:
        run: From `primaps.pipeline.opening.find_images`.
        model: The prototypes.
        overwrite: Redo what other settings made.
        look: Who looks into images of deep values.

    Raises:
        ConfigError: If the folder was made with other settings, or holds the model.
        OutputError: If it cannot be written.
    """
    refuse_run(run.folder.root, model)
    claim(run, ("backbone", "predict"), overwrite=overwrite, look=look)
    claim_for_model(run, model, overwrite=overwrite)


def predict_by_workers(
    run: Run,
    model: Model,
    names: Path,
    options: EngineOptions,
    device: str,
    *,
    inputs: Sequence[str],
    extras: Extras,
) -> None:
    """Label maps of new images by workers; the folder is as the ordinary command leaves it.

    Args:
        run: Its folder is claimed, by `claim_to_predict`.
        model: The prototypes.
        names: Folder of the model, or of its run.
        options: Engine, workers, limits.
        device: Where backbones run, as the user said it.
        inputs: For the record.
        extras: What is made beside label maps.

    Raises:
        PrimapsError: As `primaps.pipeline.predict_images`.
    """
    with finishing(run, "predict", inputs):
        take_names(run, model, names)
        remove_left_outputs(run)
        wanted = replace(extras, overlays=False)  # painted below, with the names of this folder
        work = PredictWork(
            **common_values(run, device, run.folder.root / PARTS),
            model=model_files(names),
            certainty=wanted.certainty,
        )
        missing = unlabelled(run, model, wanted, run.images)
        notes = read_warnings(run.folder)
        with run.stage("label maps", len(missing)):
            done = _shared_out(run, missing, work, options)
        run.fail(done.failures)
        run.counts |= {"engine": done.engine}
        atomic_write_parts(run.folder.certainties, done.certainty_lines(run.folder.certainties))
        for image in missing:  # what earlier files were
            notes.pop(image.name, None)
        notes |= done.notes()
        failed = {failure.path for failure in run.failures}
        made = [image for image in run.images if image.place not in failed]
        for image in made:
            run.warn(image, notes.get(image.name, ()))
        end_labelling(run, model, len(made), len(run.images) - len(missing))
        finish_predicted(run, model, inputs, extras)
    done.remove()


def common_values(run: Run, device: str, parts: Path) -> dict[str, Any]:
    """What every work on a run's settings has in common, with outputs in its folder.

    Args:
        run: Its settings are settled.
        device: Where backbones run, as the user said it.
        parts: Folder of what is not finished.
    """
    choice = run.chosen_threshold
    return {
        "place": str(parts.absolute()),
        "out": str(run.folder.root.absolute()),
        "scratch": str(parts.absolute()),
        "config": json.loads(json.dumps(to_dict(run.config))),
        "threshold": None if choice is None else choice.value,
        "backbone": BackboneRecord.of(run.backbone, device),
        "settings": work_settings(run),
    }


@dataclass(frozen=True)
class _Done:
    """What workers told of all shards.

    Attributes:
        place: Where it lies.
        results: By shard.
        failures: Images that could not be used, in the order of the run's images.
        engine: For the record.
    """

    place: Place
    results: tuple[dict[str, Any], ...]
    failures: tuple[Failure, ...]
    engine: dict[str, Any]

    def notes(self) -> dict[str, tuple[ReadingNote, ...]]:
        """What was done to each image that is not plain 8-bit RGB."""
        return {
            line["image"]: tuple(map(ReadingNote, line["kinds"], line["notes"]))
            for result in self.results
            for line in result["warnings"]
        }

    def certainty_lines(self, known: Path) -> Iterator[bytes]:
        """Lines of ``certainty.jsonl``: those that are there, then those of the workers."""
        if known.exists():
            yield known.read_bytes()
        for result in self.results:
            yield from (f"{line}\n".encode("ascii") for line in result["certainties"].values())

    def remove(self) -> None:
        """Remove what was kept for an interruption."""
        shutil.rmtree(self.place.folder, ignore_errors=True)


def _shared_out(
    run: Run, missing: Sequence[ImageFile], work: Work, options: EngineOptions
) -> _Done:
    """Have images worked on.

    Args:
        run: Whose folder outputs go to, and whose progress advances.
        missing: The images.
        work: What is to be done.
        options: Engine, workers, limits.
    """
    place = place_of(work.place)
    count = workers_of(options, work.backbone.device)
    _plan(run, missing, work, place, count)
    shards = range(load_plan(place).shards if place.exists(PLAN_FILE) else 0)
    known = {shard: read_files_result(place, shard) for shard in shards}
    failed = len(run.failures) + sum(len(each["failures"]) for each in known.values() if each)
    todo = [shard for shard in shards if known[shard] is None]
    deaths = sum(
        finished.deaths
        for finished in given_out(
            work.order(), todo, options, run.progress, failed, run.most_failures
        )
    )
    results = [read_files_result(place, shard) for shard in shards]
    engine = {"name": options.engine or "local", "workers": count, "workers_that_died": deaths}
    told = tuple(result for result in results if result is not None)
    return _Done(place, told, tuple(_failures(run, told)), engine)


def _failures(run: Run, results: Sequence[dict[str, Any]]) -> list[Failure]:
    """Failures under the paths that the user gave, in the order of the images."""
    places = {
        replace(image, path=image.path.absolute()).place: (number, image)
        for number, image in enumerate(run.images)
    }
    found: list[tuple[int, Failure]] = []
    for each in (Failure(**each) for result in results for each in result["failures"]):
        number, image = places[each.path]
        reason = each.reason.replace(str(image.path.absolute()), str(image.path))
        found.append((number, Failure(image.place, each.stage, reason)))
    return [failure for _, failure in sorted(found, key=lambda each: each[0])]


def _plan(run: Run, missing: Sequence[ImageFile], work: Work, place: Place, workers: int) -> None:
    """Cut the images that miss something into shards; after an interruption, the plan of its
    beginning goes on.
    """
    key = {"key": fingerprint([work.identity, [_state(image) for image in run.images]])}
    if place.exists(_KEY) and json.loads(place.read(_KEY)) == key:
        return
    if place.folder.exists():
        shutil.rmtree(place.folder)
    references = _references(missing)
    if references:
        size = -(-len(references) // (workers * _SHARDS_PER_WORKER))
        make_plan(place, Listing(references), max(1, min(_MOST, size)))
        write_json(place.folder / _KEY, key)


def _references(images: Sequence[ImageFile]) -> tuple[Reference, ...]:
    """The files of images, each once."""
    found: dict[str, Reference] = {}
    for image in images:
        suffix = "" if image.page is None else f".p{image.page:04d}"
        name = image.name.removesuffix(suffix)
        size, moment = _size_and_time(image.path)
        found[name] = Reference(name, str(image.path.absolute()), size, str(moment))
    return tuple(found[name] for name in sorted(found))


def _state(image: ImageFile) -> list[Any]:
    return [image.name, str(image.path.absolute()), *_size_and_time(image.path)]


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0  # the worker that reads it will say why
    return status.st_size, status.st_mtime_ns
