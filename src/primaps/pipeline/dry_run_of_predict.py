"""What `primaps predict` would do: some photographs are tried, in memory."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image as Pictures

from primaps.compute.cores import usable_cores
from primaps.outputs.viewer.pictures import REPORT_SIDE, jpeg
from primaps.outputs.visualize import thumbnail
from primaps.pipeline.dry_run import refusal
from primaps.pipeline.estimates import BASE_MEMORY, disk_line, duration, tried
from primaps.pipeline.framed import photo_of
from primaps.pipeline.kept_store import size_text
from primaps.pipeline.labelling import LARGE_LABEL_MAP, Extras, unlabelled
from primaps.pipeline.prediction import certainty_image, image_features, labels_from_scores
from primaps.prototypes.classifier import logits
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.types import Image, ImageFile, View

_CRF_MEMORY: Final = 1.4e9
"""Bytes that the CRF takes for a photograph of a million pixels with 27 classes; measured."""
_PLAIN_MEMORY: Final = 0.2e9
"""Bytes that it takes without."""


@dataclass(frozen=True)
class Tried:
    """One photograph: bytes of what would be written, and its pixels."""

    written: float
    pixels: int


def planned_predict(
    run: Run, model: Model, began: float, extras: Extras, stored: Run | None = None
) -> list[str]:
    """Lines that tell it; nothing is written.

    Args:
        run: Its images are found, its folder is not claimed.
        model: That label maps would be made with.
        began: `time.perf_counter` when the program began, since its start takes time too.
        extras: What would be made besides.
        stored: The run whose features would be taken; None = they would be computed.

    Raises:
        OutputError: If a file is there and may not be read.
    """
    images = run.images if stored is None else tuple(stored.usable_images())
    missing = unlabelled(run, model, extras, images)
    crf = "with" if run.config.predict.crf else "without"
    lines = [
        f"Photographs: {len(images)}, {len(missing)} of them to do",
        f"Model:       {model.num_clusters} classes, {run.backbone!r}",
        f"Label maps:  {crf} CRF, in {run.folder.root / 'labels'}",
    ]
    if missing:
        start = time.perf_counter() - began
        lines += _takes(run, model, extras, missing, stored, start)
    else:
        lines.append("Time:        little, since all label maps are there")
    return lines + refusal_of_model(run, model)


def _takes(
    run: Run,
    model: Model,
    extras: Extras,
    missing: Sequence[ImageFile],
    stored: Run | None,
    start: float,
) -> list[str]:
    each, found = tried(
        run,
        missing,
        lambda image: try_label_map(run, model, extras, image, stored),
        LARGE_LABEL_MAP,
    )
    if not found:
        return ["Time:        not known, since none of those that were tried could be used"]
    largest = max(each.pixels for each in found)
    at_a_time = _at_a_time(run, largest, len(missing))
    written = sum(each.written for each in found) / len(found) * len(missing)
    seconds = start + each * len(missing)
    return [
        disk_line(written + 0.4e6, run.folder.root),
        f"Memory:      about {size_text(_memory(run, model, largest, at_a_time))}",
        f"Time:        about {duration(seconds)}, by {len(found)} of them that were tried",
    ]


def refusal_of_model(run: Run, model: Model) -> list[str]:
    """What the folder was made with otherwise, the model included."""
    lines = refusal(run, ("backbone", "predict"))
    known = run.folder.record.get("settings", {}).get("model", {}).get("fingerprint")
    if known in {None, model.fingerprint}:
        return lines
    told = "Refused without --overwrite, since the folder was made with other settings:"
    return [*(lines or [told]), "  another model"]


def _at_a_time(run: Run, pixels: int, number: int) -> int:
    if run.backbone.device.type != "cpu" or pixels >= LARGE_LABEL_MAP:
        return 1
    return min(usable_cores(), number)


def _memory(run: Run, model: Model, pixels: int, at_a_time: int) -> float:
    config = run.config.predict
    each = _PLAIN_MEMORY + (_CRF_MEMORY * model.num_clusters / 27 if config.crf else 0.0)
    return BASE_MEMORY + at_a_time * each * min(pixels, config.max_pixels) / 1e6


def try_label_map(
    run: Run, model: Model, extras: Extras, image: ImageFile, stored: Run | None = None
) -> Tried:
    """Make the label map of one photograph, of which nothing is written.

    Args:
        run: With the settings.
        model: The prototypes.
        extras: What would be made besides.
        image: The photograph.
        stored: The run whose features are taken; None = they are computed.
    """
    config = run.config.predict
    photo = photo_of(image, run.config, config.max_pixels)
    if stored is None:
        features = image_features(run.backbone, photo.image, model.side(photo.image.shape[:2]))
    else:
        features = stored.store.features(image.name, View()).float().to(run.backbone.device)
    scores = logits(features, model.prototypes.to(features.device), cosine=model.fit.cosine)
    size = (photo.height, photo.width)
    labels = labels_from_scores(scores, size, config, photo.image)
    written = _png(labels) + len(jpeg(thumbnail(photo.image, REPORT_SIDE))) * 4 / 3
    if extras.certainty:
        written += _png(certainty_image(scores, size, config.max_pixels))
    if extras.overlays:
        written += len(jpeg(photo.image))
    return Tried(written, photo.height * photo.width)


def _png(values: Image) -> int:
    """Bytes of a map as PNG."""
    buffer = io.BytesIO()
    Pictures.fromarray(values).save(buffer, "PNG")
    return buffer.tell()
