"""The first stage: photographs to features and mask proposals."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from primaps.data.reading import Photo
from primaps.errors import DatasetError, ImageError
from primaps.outputs.label_files import read_png_info, write_proposals
from primaps.pipeline.batches import (
    BatchWork,
    for_each_batch,
    images_ahead,
    images_per_batch,
    works_in_batches,
)
from primaps.pipeline.failures import all_failed
from primaps.pipeline.features_and_proposals import (
    features_and_proposals,
    features_and_proposals_batch,
    host_input,
)
from primaps.pipeline.framed import framed_photo, image_entry
from primaps.pipeline.kept_store import bytes_on_disk, note_of_size
from primaps.pipeline.left_outputs import remove_left_outputs
from primaps.pipeline.no_data import without_ignored
from primaps.pipeline.parallel import for_each_image
from primaps.proposals.resampling import enlarge_nearest
from primaps.runs.run import MANIFEST, Run
from primaps.runs.store import FeatureStore, ShardInfo, atomic_write_parts
from primaps.types import ImageFile, MaskProposals, ReadingNote, View


def extract(run: Run, views: int | None = None) -> None:
    """Features and mask proposals of every image, into the store and as 16-bit PNG. Outputs of
    images that are not among them any more are removed.

    Args:
        run: The run.
        views: How many of its views, the plain one first, must be stored of an image; 0 = none if
            its proposals are known; None = all.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    store = run.store
    views = len(store.views) if views is None else views
    made, missing = store.views[: max(1, views)], begin_extraction(run, views)
    with run.stage("proposals", len(missing)):
        if works_in_batches(run.backbone.device):
            for_each_batch(
                run,
                missing,
                "proposals",
                _batch_work(run, store, made),
                images_ahead(run.config.features.size),
            )
        else:
            for_each_image(
                run,
                missing,
                "proposals",
                lambda image: _keep(run, store, image, _extract_one(run, image, made)),
            )
    end_extraction(run, len(missing))


def begin_extraction(run: Run, views: int) -> list[ImageFile]:
    """Tidy up before an extraction, and say what it takes.

    Args:
        run: The run.
        views: As for `extract`.

    Returns:
        The images that are still to be done.

    Raises:
        OutputError: If something cannot be removed.
    """
    store = run.store
    remove_left_outputs(run)
    missing = [image for image in run.images if not _extracted(run, store, image, views)]
    _announce_disk_use(run, len(missing))
    return missing


def end_extraction(run: Run, made: int) -> None:
    """What there is to tell once all images are done: the manifest, warnings, statistics.

    Args:
        run: The run; images that could not be used are among its failures.
        made: Number of images that were to be done.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    store, usable = run.store, run.usable_images()
    if not usable:
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))
    notes: dict[ImageFile, Sequence[ReadingNote]] = {}
    run.counts |= proposal_statistics(_described(store, usable, notes))
    run.folder.write_warnings(notes)
    run.counts |= {
        "images": len(usable),
        "proposals_made": made,
        "proposals_reused": len(run.images) - made,
    }
    write_manifest(store, usable)


def _extracted(run: Run, store: FeatureStore, image: ImageFile, views: int) -> bool:
    info = store.info(image.name)
    if info is None or (views and store.held(image.name) < views):
        return False
    found = read_png_info(run.folder.proposals(image.name), whole=True)
    if found != _stamp(store, info.sha256):
        return False
    if info.values is not None:  # was another range in force?
        kind, *stretched = info.values
        policy = run.config.inputs
        known = policy.measured(kind) if policy.value_range == "auto" else None
        if known is not None and list(known) != stretched:
            return False
    return store.is_current(image.name, image.path)


def _stamp(store: FeatureStore, sha256: str) -> dict[str, str]:
    """What the header of a proposals file says it was made from."""
    return {"image": sha256, "settings": store.settings}


@dataclass(frozen=True)
class _Opened:
    """An image that was read, and its input to the backbone.

    Attributes:
        status: Of the file before it was read.
        photo: The photograph, its pixels left out.
        values: (1, 3, H', W') float32 input in host memory: what waits for its batch takes nothing
            from the device.
    """

    status: os.stat_result
    photo: Photo
    values: torch.Tensor


@dataclass(frozen=True)
class _Extracted:
    """What there is to write of an image.

    Attributes:
        status: Of the file before it was read.
        photo: The photograph; its pixels do not count.
        features: (V, C, h, w) floating point; in host memory if it was made in a batch.
        proposals: At the backbone's input size.
    """

    status: os.stat_result
    photo: Photo
    features: torch.Tensor
    proposals: MaskProposals


def _batch_work(
    run: Run, store: FeatureStore, views: Sequence[View]
) -> BatchWork[_Opened, _Extracted]:
    """The extraction as work on batches; only `compute` takes memory of the device."""
    device = run.backbone.device

    def load(image: ImageFile) -> _Opened:
        status = image.path.stat()
        photo = framed_photo(image, run.config, damage=True)
        values = host_input(
            photo.image, run.backbone, run.config.features.side(photo.image.shape[:2])
        )
        # they would only take memory
        without_pixels = dataclasses.replace(photo, image=np.zeros((0, 0, 3), dtype=np.uint8))
        return _Opened(status, without_pixels, values)

    def compute(batch: Sequence[_Opened]) -> list[_Extracted | ImageError]:
        inputs = torch.cat([opened.values for opened in batch]).to(device)
        checksums = [opened.photo.sha256 for opened in batch]
        made = features_and_proposals_batch(
            inputs, checksums, run.backbone, run.config, views, run.threshold
        )
        return [
            each if isinstance(each, ImageError) else _Extracted(opened.status, opened.photo, *each)
            for opened, each in zip(batch, made, strict=True)
        ]

    return BatchWork(
        load=load,
        alike=lambda opened: opened.values.shape,
        pixels=lambda opened: opened.values[0, 0].numel(),
        most=lambda pixels: images_per_batch(pixels, device),
        compute=compute,
        size=lambda made: made.features.nbytes + made.proposals.label_image.nbytes,
        keep=lambda image, made: _keep(run, store, image, made),
    )


def _extract_one(run: Run, image: ImageFile, views: Sequence[View]) -> _Extracted:
    status = image.path.stat()
    photo = framed_photo(image, run.config, damage=True)
    return _Extracted(
        status,
        photo,
        *features_and_proposals(photo, run.backbone, run.config, views, run.threshold),
    )


def _keep(run: Run, store: FeatureStore, image: ImageFile, made: _Extracted) -> None:
    """Write what was made of one image."""
    photo = made.photo
    proposals = without_ignored(made.proposals, photo.ignored)
    info = ShardInfo(
        settings=store.settings,
        sha256=photo.sha256,
        file_size=made.status.st_size,
        mtime_ns=made.status.st_mtime_ns,
        height=photo.height,
        width=photo.width,
        num_masks=proposals.num_masks,
        coverage=proposals.coverage,
        scores=tuple(float(score) for score in proposals.scores),
        guards=proposals.guards,
        values=photo.values,
        ignored=0.0 if photo.ignored is None else float(photo.ignored.mean()),
        notes=photo.notes,
    )
    # four times less memory for a large photograph
    smallest = np.uint8 if proposals.num_masks < 256 else np.int32
    at_own_size = enlarge_nearest(
        torch.from_numpy(proposals.label_image.astype(smallest)), photo.height, photo.width
    ).numpy()
    if photo.ignored is not None:
        at_own_size[photo.ignored] = 0
    write_proposals(run.folder.proposals(image.name), at_own_size, _stamp(store, photo.sha256))
    run.warn(image, photo.notes)
    # last: its presence says that the image is done
    store.write(image.name, made.features, proposals, info)


def _announce_disk_use(run: Run, missing: int) -> None:
    """Say before the long part starts how much disk it takes."""
    if not missing:
        return
    free = shutil.disk_usage(run.folder.root).free
    needed = bytes_on_disk(run, missing)
    large = note_of_size(run)
    run.progress.note(
        f"{missing} images to do; about {needed / 1e9:.2g} GB in {run.folder.root}"
        f" ({free / 1e9:.3g} GB free there)."
        + (" That may not be enough." if needed > free else "")
    )
    if large is not None:
        run.progress.note(large)


def _described(
    store: FeatureStore, usable: Sequence[ImageFile], notes: dict[ImageFile, Sequence[ReadingNote]]
) -> Iterator[ShardInfo]:
    """What is stored of each image, one after the other: of very many all at once would take more
    memory than the extraction. Their notes are put into ``notes``.
    """
    for image in usable:
        info = store.info(image.name)
        if info is not None:
            if info.notes:
                notes[image] = info.notes
            yield info


def proposal_statistics(infos: Iterable[ShardInfo]) -> dict[str, Any]:
    """Figures on the proposals of images, at least one, for ``run.json``."""
    counted, covered = array("q"), array("d")
    guards: dict[str, int] = {}
    for info in infos:
        counted.append(info.num_masks)
        covered.append(info.coverage)
        for guard in set(info.guards):
            guards[guard] = guards.get(guard, 0) + 1
    numbers, coverage = np.array(counted), np.array(covered)
    return {
        "proposals_per_image": {
            "min": int(numbers.min()),
            "median": float(np.median(numbers)),
            "mean": round(float(numbers.mean()), 3),
            "max": int(numbers.max()),
        },
        "images_without_proposal": int((numbers == 0).sum()),
        "coverage": {
            "min": round(float(coverage.min()), 4),
            "mean": round(float(coverage.mean()), 4),
        },
        "images_with_guard": guards,
    }


def write_manifest(store: FeatureStore, usable: Sequence[ImageFile]) -> None:
    """Write a readable list of what is known, in the store, or beside the digest if there is none.

    Raises:
        OutputError: If it cannot be written.
    """
    stored = any(store.held(image.name) for image in usable)
    atomic_write_parts(
        (store.root if stored else store.root.parent) / MANIFEST, _manifest(store, usable)
    )


def _manifest(store: FeatureStore, usable: Sequence[ImageFile]) -> Iterator[bytes]:
    """The list as `write_json` would write it, image by image."""
    views = [dataclasses.asdict(view) for view in store.views]
    empty = {"settings": store.settings, "views": views, "images": {}}
    head = _json(empty).removesuffix("}\n}")
    yield head.encode()
    separator = "\n"
    for image in usable:
        info = store.info(image.name)
        if info is not None:
            entry = {
                **image_entry(image),
                "height": info.height,
                "width": info.width,
                "num_masks": info.num_masks,
                "coverage": round(info.coverage, 4),
                "guards": list(info.guards),
            }
            text = _json({image.name: entry}).removeprefix("{\n").removesuffix("\n}")
            text = "  " + text.replace("\n", "\n  ")
            yield (separator + text).encode("utf-8", errors="surrogateescape")
            separator = ",\n"
    yield b"}\n}\n" if separator == "\n" else b"\n  }\n}\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
