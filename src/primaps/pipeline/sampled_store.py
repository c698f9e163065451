"""A run folder with the stored features of some images of a sharded `primaps proposals`, wherever
that lies: a fit needs thousands of images, not millions.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from primaps.config import GENERATION, from_record
from primaps.errors import CheckpointError, ConfigError, DatasetError, PlaceError
from primaps.outputs.label_files import read_png_info
from primaps.pipeline.extraction import proposal_statistics, write_manifest
from primaps.pipeline.failures import all_failed
from primaps.pipeline.output_names import without_names_that_fail
from primaps.pipeline.places import refuse_place
from primaps.progress import Progress
from primaps.runs.run import RunFolder, cached_views, store_fingerprint
from primaps.runs.store import FeatureStore, atomic_write, release, remove_file
from primaps.shards.copying import copy_images
from primaps.shards.places import is_url, place_of
from primaps.shards.plan import references_of
from primaps.shards.reading import Output, ShardedOutputs, is_sharded
from primaps.shards.references import Reference
from primaps.shards.staging import THREADS
from primaps.shards.tar_files import safe_name
from primaps.types import Failure, ImageFile

SAMPLE: Final = 5000
"""Images unless told otherwise."""

_STAGES: Final = ("backbone", "features", "proposals")
_KEPT: Final = ("config", "weights", "head", "threshold", "inputs")
_PAGE: Final = re.compile(r"\.p\d{4,}$")


def sample_store(
    sharded: str | Path,
    out: Path,
    count: int | None,
    *,
    photographs: bool = False,
    overwrite: bool = False,
    progress: Progress,
) -> None:
    """Make a run folder that holds an even choice of the images of a sharded `primaps proposals`.

    Resumable: what is there is not fetched again.

    Args:
        sharded: Its output folder or URL.
        out: The run folder.
        count: How many images; None = `SAMPLE`, and all if there are fewer.
        photographs: Copy the photographs too, where they are in an object store or in tar files.
        overwrite: Replace another sample there.
        progress: Who is told.

    Raises:
        ConfigError: If ``out`` holds something else or lies in other outputs, or the count is none.
        CheckpointError: If there are no such outputs, they are damaged or not finished.
        DatasetError: If no image could be fetched.
        PlaceError: If they cannot be reached.
        OutputError: If the folder cannot be written, or another process is at work in it.
    """
    if count is not None and count < 1:
        raise ConfigError(f"Expected --sample of at least 1 image, but got {count}.")
    refuse_place(out)
    source = _Source.of(sharded)
    chosen = source.outputs.sample(count or SAMPLE)
    folder = RunFolder(out)
    _claim(folder, source, len(chosen), overwrite=overwrite)
    try:
        _fetch(folder, source, chosen, progress, photographs=photographs)
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        folder.stop({}, "interrupted" if stopped else "failed")
        raise
    finally:
        release(folder.root)


@dataclass(frozen=True)
class _Source:
    """Outputs of a sharded `primaps proposals`.

    Attributes:
        outputs: Where they lie.
        record: Of its run.
        settings: Of the stages that determined its store.
    """

    outputs: ShardedOutputs
    record: Mapping[str, Any]
    settings: dict[str, Mapping[str, Any]]

    @classmethod
    def of(cls, sharded: str | Path) -> _Source:
        place = place_of(sharded)
        if not is_sharded(place):
            raise CheckpointError(
                f"Expected {place.url} to hold the outputs of `primaps proposals ... --shards`, but"
                " it does not. Give their folder or URL; a run folder of one machine is fitted"
                " without --out and --sample."
            )
        outputs = ShardedOutputs(place)
        record = outputs.run_record
        settings = record.get("settings")
        if (
            not isinstance(settings, dict)
            or not all(isinstance(settings.get(stage), dict) for stage in _STAGES)
            or not isinstance(record.get("config"), dict)
        ):
            raise CheckpointError(
                f"Expected {place.at('run.json')} to be the record of `primaps proposals`, but it"
                " is not."
            )
        wanted = {stage: settings[stage] for stage in _STAGES}
        return cls(outputs, record, wanted | {"inputs": settings.get("inputs") or {}})

    def store(self, folder: RunFolder) -> FeatureStore:
        """The store of a run folder, for shards with these settings."""
        views = cached_views(from_record(self.record["config"]))
        return FeatureStore(folder.store, store_fingerprint(self.settings), views)


def _claim(folder: RunFolder, source: _Source, images: int, *, overwrite: bool) -> None:
    """Take the run folder for a sample, or refuse if it holds something else."""
    plan = source.outputs.plan
    sample = {"of": source.outputs.place.url, "images": images, "listing_sha256": plan.sha256}
    known = folder.record.get("drawn_from")
    if folder.record and known is None:
        raise ConfigError(
            f"Expected {folder.root} to be new, or to hold a sample of {sample['of']}, but it holds"
            " another run. Choose another --out."
        )
    if known not in (None, sample) and not overwrite:
        raise ConfigError(
            f"{folder.root} holds another sample: {known['images']} images of {known['of']}"
            + (", which has other images now" if known["of"] == sample["of"] else "")
            + f". Wanted are {images} of {sample['of']}. Choose another --out, or add --overwrite."
        )
    folder.record |= {key: source.record[key] for key in _KEPT if key in source.record}
    folder.record["config"] = {**source.record["config"], "store": None}  # all of it stays
    folder.record["drawn_from"] = sample
    folder.claim(source.settings, overwrite=overwrite)
    folder.record["defaults"] = source.record.get("defaults", GENERATION)


def _fetch(
    folder: RunFolder,
    source: _Source,
    chosen: Sequence[Output],
    progress: Progress,
    *,
    photographs: bool,
) -> None:
    """Bring the shards of the chosen images into the store, and list them."""
    started = time.perf_counter()
    store = source.store(folder)
    references = _references(source, chosen)
    images, refused, notes = _named(folder, references, photographs=photographs)
    for note in notes:
        progress.note(note)
    _remove_others(store, folder, images.keys())
    missing = [
        each for each in chosen if each.name in images and not _is_there(store, folder, each)
    ]
    _announce(folder, missing, len(chosen), source.outputs.plan.images, progress)
    failures = list(refused)
    progress.start("fetch", len(missing))
    with ThreadPoolExecutor(THREADS) as pool:
        done = pool.map(lambda each: _fetch_one(store, folder, source.outputs, each), missing)
        for output, reason in zip(missing, done, strict=True):
            if reason is not None:
                failures.append(Failure(images[output.name].place, "fetch", reason))
            progress.advance(1)
    progress.finish()
    if photographs:
        failures += _copied(folder, [references[name] for name in images], progress)
    infos = {
        image: info for name, image in images.items() if (info := store.info(name)) is not None
    }
    folder.write_failures(failures)
    if not infos:
        raise DatasetError(all_failed(failures))
    folder.write_warnings({image: info.notes for image, info in infos.items()})
    write_manifest(store, list(infos))
    counts = {**proposal_statistics(list(infos.values())), "images": len(infos)}
    seconds = {"fetch": time.perf_counter() - started}
    folder.finish("fit", folder.record.get("inputs", ()), seconds, counts, failures)


def _references(source: _Source, chosen: Sequence[Output]) -> dict[str, Reference]:
    """Where the photographs of outputs are, by the name of the output.

    Raises:
        CheckpointError: If an output belongs to none, or its name is no path inside a folder.
    """
    place, shards = source.outputs.place, sorted({output.shard for output in chosen})
    with ThreadPoolExecutor(THREADS) as pool:
        parts = pool.map(lambda shard: references_of(place, shard), shards)
        known = {each.name: each for part in parts for each in part}
    found: dict[str, Reference] = {}
    for output in chosen:
        reference = known.get(output.name) or known.get(_PAGE.sub("", output.name))
        if reference is None or safe_name(output.name) != output.name:
            raise CheckpointError(
                f"Expected shard {output.shard} of {place.url} to hold images of its"
                f" plan, but it holds {output.name!r:.200}. It is damaged or was tampered with."
            )
        found[output.name] = reference
    return found


def _named(
    folder: RunFolder, references: Mapping[str, Reference], *, photographs: bool
) -> tuple[dict[str, ImageFile], list[Failure], list[str]]:
    """The images by name; those that files cannot be named after as failures; what to tell."""
    images = list[ImageFile]()
    for name, reference in references.items():
        page = None if name == reference.name else int(name.rpartition(".p")[2])
        copied = photographs and _is_elsewhere(reference)
        path = _copies(folder) / reference.name if copied else Path(reference.place)
        images.append(ImageFile(path, name, page))
    kept, refused, notes = without_names_that_fail(images, folder.root)
    return {image.name: image for image in kept}, refused, notes


def _copies(folder: RunFolder) -> Path:
    return folder.root / "photographs"


def _is_elsewhere(reference: Reference) -> bool:
    return reference.member is not None or is_url(reference.url)


def _copied(
    folder: RunFolder, references: Sequence[Reference], progress: Progress
) -> list[Failure]:
    """Copy photographs; those of one file once."""
    wanted = {each.name: each for each in references if _is_elsewhere(each)}
    if not wanted:
        return []
    size = sum(reference.size for reference in wanted.values())
    progress.note(
        f"Copies {len(wanted)} photographs, {size / 1e9:.2g} GB, to {_copies(folder)}; those that"
        " are there stay."
    )
    progress.start("photographs", len(wanted))
    failures = copy_images(list(wanted.values()), _copies(folder), progress.advance)
    progress.finish()
    return failures


def _is_there(store: FeatureStore, folder: RunFolder, output: Output) -> bool:
    info = store.info(output.name)
    return (
        info is not None
        and info.sha256 == output.entry.sha256
        and read_png_info(folder.proposals(output.name)).get("image") == info.sha256
    )


def _fetch_one(
    store: FeatureStore, folder: RunFolder, outputs: ShardedOutputs, output: Output
) -> str | None:
    """Write what there is of an image; why that failed."""
    try:
        proposals, shard = outputs.read(output, "proposals"), outputs.read(output, "store")
    except (PlaceError, CheckpointError) as error:
        return str(error)
    atomic_write(folder.proposals(output.name), proposals)
    path = store.path(output.name)
    atomic_write(path, shard)  # last: its presence says that the image is there
    info = store.info(output.name)
    if info is not None and info.sha256 == output.entry.sha256:
        return None
    remove_file(path)
    return (
        f"Expected stored features with the settings on record in shard {output.shard} of"
        f" {outputs.place.url}, but it holds others, perhaps of an earlier version. Run `primaps"
        " proposals` there again."
    )


def _remove_others(store: FeatureStore, folder: RunFolder, names: Collection[str]) -> None:
    """Remove what there is of images of another sample."""
    wanted = {store.path(name) for name in names}
    for path in list(store.root.rglob("*.safetensors")):
        if path not in wanted:
            remove_file(path)
            name = path.relative_to(store.root).as_posix().removesuffix(path.suffix)
            remove_file(folder.proposals(name))


def _announce(
    folder: RunFolder, missing: Sequence[Output], chosen: int, total: int, progress: Progress
) -> None:
    if not missing:
        return
    needed = sum(member.size for each in missing for member in each.entry.members.values())
    free = shutil.disk_usage(folder.root).free
    progress.note(
        f"{chosen} of {total} images; {len(missing)} to fetch, {needed / 1e9:.2g} GB into"
        f" {folder.root} ({free / 1e9:.3g} GB free there)."
        + (" That may not be enough." if needed > free else "")
    )
