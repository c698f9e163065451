"""The third stage: prototypes to label maps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

from primaps.data.reading import Photo
from primaps.errors import DatasetError, ImageError
from primaps.features.device import compute_device
from primaps.outputs.label_files import read_png_info, write_certainty, write_label_map
from primaps.pipeline.certainties import CertaintyBook
from primaps.pipeline.damaged_store import make_damaged_anew
from primaps.pipeline.failures import all_failed
from primaps.pipeline.framed import photo_of
from primaps.pipeline.left_outputs import remove_left_outputs
from primaps.pipeline.parallel import for_each_image
from primaps.pipeline.photographs import check_photograph, file_checksum
from primaps.pipeline.prediction import certainty_image, image_features, labels_from_scores
from primaps.prototypes.classifier import logits
from primaps.runs.model import Model
from primaps.runs.run import Run, RunFolder
from primaps.runs.store import FeatureStore, ShardInfo, fingerprint
from primaps.types import IGNORE_INDEX, Image, ImageFile, ReadingNote, View

LARGE_LABEL_MAP: Final = 400_000
"""Pixels from which on label maps are made one after the other: the CRF takes up to 1.4 GB for one
of a million pixels.
"""


@dataclass(frozen=True)
class Extras:
    """What is made beside label maps, on request.

    Attributes:
        certainty: ``certainty/<path>.png``.
        overlays: ``overlays/<path>.jpg``, the photographs with their classes painted over them.
    """

    certainty: bool = False
    overlays: bool = False


def extras_of(folder: RunFolder) -> Extras:
    """What was made beside the label maps of a folder: another model's are made with the same."""
    return Extras((folder.root / "certainty").is_dir(), (folder.root / "overlays").is_dir())


def predict_stored(
    run: Run, model: Model, extras: Extras | None = None, stored: Run | None = None
) -> None:
    """Label maps of the images whose features are stored, as 8-bit PNG at the images' own size.

    Args:
        run: Where label maps go.
        model: The fitted prototypes.
        extras: What is made besides.
        stored: The run whose features are taken; None = the same.

    Raises:
        DatasetError: If no label map could be made.
        OutputError: If something cannot be written.
    """
    source = run if stored is None else stored
    store, images = source.store, source.usable_images()
    work = _Work(run, model, extras or Extras())
    if stored is not None:
        remove_left_outputs(run)

    def label(image: ImageFile) -> None:
        info = store.info(image.name)
        if info is not None:
            photo, features = _features_of(source, image, info)
            work.make(
                image,
                features,
                info.sha256,
                (info.height, info.width),
                photo=photo,
                all_data=info.ignored == 0,
            )

    with work.certainties(images):
        missing = [image for image in images if not _labelled(work, store, image)]
        if stored is None:
            make_damaged_anew(run, missing, 1)
        with run.stage("label maps", len(missing)):
            for_each_image(run, missing, "predict", label, LARGE_LABEL_MAP)
    if missing and not any(_labelled(work, store, image) for image in images):
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))
    if stored is not None:  # what its run says is said here too
        infos = {image: info for image in images if (info := store.info(image.name)) is not None}
        run.folder.write_warnings({image: info.notes for image, info in infos.items()})
    run.counts |= {"label_maps_made": len(missing), "label_maps_reused": len(images) - len(missing)}


def _features_of(
    source: Run, image: ImageFile, info: ShardInfo
) -> tuple[Photo | None, torch.Tensor]:
    """(C, h, w) float32 stored features; where they were not kept, they are computed again from the
    photograph, which is given too.

    Raises:
        ImageError: If the photograph is gone or another one now.
    """
    device = compute_device(source.backbone.device)
    if source.store.held(image.name):
        return None, source.store.features(image.name, View()).float().to(device)
    photo = photo_of(image, source.config, source.config.predict.max_pixels)
    check_photograph(image.path, photo.sha256, info.sha256)
    side = source.config.features.side(photo.image.shape[:2])
    return photo, image_features(source.backbone, photo.image, side).to(device)


def predict_new(run: Run, model: Model, extras: Extras | None = None) -> None:
    """Label maps of images that the prototypes were not fitted to: backbone, prototypes, CRF;
    nothing is stored besides.

    Args:
        run: Where label maps go.
        model: The fitted prototypes.
        extras: What is made besides.

    Raises:
        DatasetError: If no image could be used.
        OutputError: If something cannot be written.
    """
    work = _Work(run, model, extras or Extras())
    done: list[ImageFile] = []
    notes: dict[ImageFile, tuple[ReadingNote, ...]] = {}

    def label(image: ImageFile) -> None:
        photo = photo_of(image, run.config, run.config.predict.max_pixels, damage=True)
        if not work.is_done(image, photo.sha256):
            features = image_features(run.backbone, photo.image, model.side(photo.image.shape[:2]))
            size = (photo.height, photo.width)
            all_data = photo.ignored is None
            work.make(image, features, photo.sha256, size, photo=photo, all_data=all_data)
        notes[image] = photo.notes
        done.append(image)

    remove_left_outputs(run)
    with work.certainties(run.images), run.stage("label maps", len(run.images)):
        for_each_image(run, run.images, "predict", label, LARGE_LABEL_MAP)
    run.folder.write_warnings({image: notes[image] for image in run.images if image in notes})
    run.counts |= {"label_maps": len(done)}
    if not done:
        run.folder.write_failures(run.failures)
        raise DatasetError(all_failed(run.failures))


def unlabelled(
    run: Run, model: Model, extras: Extras, images: Sequence[ImageFile]
) -> list[ImageFile]:
    """The images of which something is yet to be made, by headers and checksums of files."""
    work = _Work(run, model, extras)
    return [image for image in images if not _is_current(work, image)]


def _is_current(work: _Work, image: ImageFile) -> bool:
    if not work.run.folder.labels(image.name).exists():
        return False
    try:
        return work.is_done(image, file_checksum(image.path))
    except ImageError:  # gone: the command tells it
        return False


def empty_clusters(run: Run, model: Model) -> list[int]:
    """Clusters that have no pixel in any label map of a run, by the headers of these."""
    used: set[int] = set()
    for image in run.images:
        header = read_png_info(run.folder.labels(image.name))
        if header.get("model") == model.fingerprint:
            used |= {int(each) for each in json.loads(header.get("pixels", "{}"))}
    return [each for each in range(model.num_clusters) if each not in used]


class _Work:
    """Label maps and certainties of one command."""

    def __init__(self, run: Run, model: Model, extras: Extras) -> None:
        self.run, self.model, self.extras = run, model, extras
        self.wanted = {
            "model": model.fingerprint,
            "settings": fingerprint(_made_with(run)),
        }
        self.book = CertaintyBook(run.folder.certainties, model.fingerprint)

    @contextlib.contextmanager
    def certainties(self, images: Sequence[ImageFile]) -> Iterator[None]:
        """While images are worked on; at the end their certainties are put in order.

        Args:
            images: All images of the folder.
        """
        yield
        self.book.finish([image.name for image in images])
        means = [found.mean for image in images if (found := self.book.get(image.name))]
        if means:
            self.run.counts["certainty"] = {
                "mean": round(float(np.mean(means)), 4),
                "min": round(min(means), 4),
            }

    def is_done(self, image: ImageFile, photo: str) -> bool:
        """Whether everything of an image is there, made from this photograph."""
        return self._has_labels(image, photo) and self._has_certainty(image, photo)

    def _has_labels(self, image: ImageFile, photo: str) -> bool:
        found = read_png_info(self.run.folder.labels(image.name), whole=True)
        return _holds(found, {**self.wanted, "image": photo})

    def _has_certainty(self, image: ImageFile, photo: str) -> bool:
        if self.book.get(image.name, photo) is None:
            return False
        found = read_png_info(self.run.folder.certainty(image.name), whole=True)
        return not self.extras.certainty or _holds(found, self._certainty_stamp(photo))

    def _certainty_stamp(self, photo: str) -> dict[str, str]:
        return {"model": self.model.fingerprint, "image": photo}

    def make(
        self,
        image: ImageFile,
        features: torch.Tensor,
        sha256: str,
        size: tuple[int, int],
        *,
        photo: Photo | None,
        all_data: bool,
    ) -> None:
        """Write what an image lacks.

        Args:
            image: The image.
            features: (C, h, w) float32.
            sha256: Of its file.
            size: (H, W), its own.
            photo: The image itself, for the CRF and pixels without data; None = read if needed.
            all_data: No pixel is without data.
        """
        config, folder = self.run.config.predict, self.run.folder
        prototypes = self.model.prototypes.to(features.device)
        scores = logits(features, prototypes, cosine=self.model.fit.cosine)
        if not self._has_labels(image, sha256):
            if photo is None and (config.crf or not all_data):
                photo = photo_of(image, self.run.config, config.max_pixels)
            pixels = None if photo is None else photo.image
            labels = labels_from_scores(scores, size, config, pixels)
            if photo is not None and photo.ignored is not None:
                labels[photo.ignored] = IGNORE_INDEX
            _write_labels(self.run, image, labels, {**self.wanted, "image": sha256})
        if self.extras.certainty:
            levels = certainty_image(scores, size, config.max_pixels)
            write_certainty(folder.certainty(image.name), levels, self._certainty_stamp(sha256))
        if self.book.get(image.name, sha256) is None:
            self.book.note(image.name, sha256, scores)


def _made_with(run: Run) -> Any:
    """The settings that label maps depend on besides the model's."""
    settings, ranges = run.settings(), run.config.inputs.ranges
    if "inputs" not in settings and not ranges:
        return settings["predict"]
    return [settings["predict"], settings.get("inputs"), [list(each) for each in ranges]]


def _labelled(work: _Work, store: FeatureStore, image: ImageFile) -> bool:
    info = store.info(image.name)
    return info is not None and work.is_done(image, info.sha256)


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
