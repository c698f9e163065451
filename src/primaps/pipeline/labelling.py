"""The third stage: prototypes to label maps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

import numpy as np

from primaps.data.reading import read_photo
from primaps.errors import DatasetError
from primaps.features.device import compute_device
from primaps.outputs.label_files import read_png_info, write_label_map
from primaps.pipeline.failures import all_failed
from primaps.pipeline.parallel import for_each_image
from primaps.pipeline.prediction import image_features, label_map
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.runs.store import FeatureStore, fingerprint
from primaps.types import Image, ImageFile, View

LARGE_LABEL_MAP: Final = 400_000
"""Pixels from which on label maps are made one after the other: the CRF takes up to 1.4 GB for one
of a million pixels.
"""


def predict_stored(run: Run, model: Model) -> None:
    """Label maps of the images whose features are stored, as 8-bit PNG at the images' own size.

    Raises:
        DatasetError: If no label map could be made.
        OutputError: If something cannot be written.
    """
    store, images = run.store, run.usable_images()
    wanted = {"model": model.fingerprint, "settings": fingerprint(run.settings()["predict"])}
    missing = [image for image in images if not _labelled(run, store, image, wanted)]

    def label(image: ImageFile) -> None:
        info = store.info(image.name)
        if info is not None:
            features = (
                store.features(image.name, View()).float().to(compute_device(run.backbone.device))
            )
            crf_image = (
                read_photo(image.path, run.config.predict.max_pixels).image
                if run.config.predict.crf
                else None
            )
            labels = label_map(
                features, model, (info.height, info.width), run.config.predict, crf_image
            )
            _write_labels(run, image, labels, {**wanted, "image": info.sha256})

    with run.stage("label maps", len(missing)):
        for_each_image(run, missing, "predict", label, LARGE_LABEL_MAP)
    if missing and not any(_labelled(run, store, image, wanted) for image in images):
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))
    run.counts |= {"label_maps_made": len(missing), "label_maps_reused": len(images) - len(missing)}


def predict_new(run: Run, model: Model) -> None:
    """Label maps of images that the prototypes were not fitted to: backbone, prototypes, CRF;
    nothing is stored besides.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    wanted = {"model": model.fingerprint, "settings": fingerprint(run.settings()["predict"])}
    done: list[ImageFile] = []

    def label(image: ImageFile) -> None:
        photo = read_photo(image.path, run.config.predict.max_pixels)
        present = {**wanted, "image": photo.sha256}
        if not _holds(read_png_info(run.folder.labels(image.name)), present):
            features = image_features(run.backbone, photo.image, model.size)
            labels = label_map(
                features, model, (photo.height, photo.width), run.config.predict, photo.image
            )
            _write_labels(run, image, labels, present)
        done.append(image)

    with run.stage("label maps", len(run.images)):
        for_each_image(run, run.images, "predict", label, LARGE_LABEL_MAP)
    run.counts |= {"label_maps": len(done)}
    if not done:
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))


def _labelled(run: Run, store: FeatureStore, image: ImageFile, wanted: Mapping[str, str]) -> bool:
    info = store.info(image.name)
    return info is not None and _holds(
        read_png_info(run.folder.labels(image.name)), {**wanted, "image": info.sha256}
    )


def _holds(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())


def _write_labels(run: Run, image: ImageFile, labels: Image, stamp: Mapping[str, str]) -> None:
    """The pixel counts travel in the header, so that a resumed run need not decode finished label
    maps.
    """
    counts = np.zeros(256, dtype=np.int64)
    for row in labels:  # bincount makes 8 bytes of each pixel
        counts += np.bincount(row, minlength=256)
    pixels = {str(cluster): int(count) for cluster, count in enumerate(counts) if count}
    write_label_map(run.folder.labels(image.name), labels, {**stamp, "pixels": json.dumps(pixels)})
