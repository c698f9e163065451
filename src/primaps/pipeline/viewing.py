"""What the viewer shows of a folder: the record of it, photographs, id maps, certainties.

The formats are those of ``outputs/viewer/web/types.js``. Nothing is written. Every function may be
called from several threads. What changes when somebody names things is in
`primaps.pipeline.viewed_state`.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from primaps.data.paths import printable
from primaps.data.reading import read_photo
from primaps.errors import ConfigError, DatasetError, ImageError
from primaps.naming.table import is_touched
from primaps.outputs.label_files import read_label_image, read_png_info, read_png_size
from primaps.outputs.viewer.pictures import jpeg, packed_ids, packed_levels
from primaps.outputs.visualize import thumbnail
from primaps.pipeline.classes import clusters_of, read_classes
from primaps.pipeline.evidence import proposal_logits
from primaps.pipeline.framed import inputs_of
from primaps.pipeline.image_list import read_image_list
from primaps.pipeline.photographs import check_photograph
from primaps.pipeline.sampling import evenly
from primaps.pipeline.stored_proposals import proposals_in
from primaps.pipeline.viewed_advice import Advised, advice
from primaps.pipeline.viewed_examples import cluster_certainty, cluster_facts, share_examples
from primaps.pipeline.viewed_facts import (
    backbone_facts,
    curves_record,
    folder_curves,
    run_facts,
    run_settings,
    run_warnings,
    title_of,
    viewed_tree,
)
from primaps.pipeline.viewed_images import (
    MAP_PIXELS,
    ViewedImage,
    image_columns,
    viewed_images,
)
from primaps.runs.digest import read_digest
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder, manifest_of, read_failures
from primaps.runs.store import FeatureStore
from primaps.types import Failure, FitCurves, Image, View

FORMAT: Final = 1
LOOK: Final = "report"
"""Stage of the failures to show an image that has a label map."""

MOST_READ: Final = 2000
"""Images whose stored features are read for what clusters look like, evenly spread."""


@dataclass(frozen=True)
class Pending:
    """What a command at work knows and has not written yet.

    Attributes:
        record: As ``run.json`` will hold it.
        failures: Inputs that could not be used.
        curves: Of the fit; None = there are none.
    """

    record: Mapping[str, Any]
    failures: Sequence[Failure]
    curves: FitCurves | None = None


class Viewed:
    """A folder as it lies there at this moment, to be looked at.

    Args:
        folder: Of a run, of `predict`, or of a candidate, which is shown with the photographs and
            proposals of its run.
        pending: What a command at work in it has not written yet.

    Attributes:
        files: Its files.
        model: Fingerprint of the model that the label maps are of.
        num_clusters: K.
        images: Those with a label map of the model, in the order of their names.
        source: The run that stored features and proposals of the images; None = there is none.

    Raises:
        CheckpointError: If the folder is none of these, or a record is damaged.
        OutputError: If a file is there and may not be read.
    """

    def __init__(self, folder: str | Path, pending: Pending | None = None) -> None:
        self.folder = str(folder)
        self.files = RunFolder(NamedFolder.find(Path(folder)).root)
        if pending is not None:
            self.files.record = dict(pending.record)
        clusters = clusters_of(NamedFolder(self.files.root))
        self.model, self.num_clusters = str(clusters.model), clusters.number
        failures = read_failures(self.files) if pending is None else pending.failures
        # of an earlier look: whether photographs are there is seen anew
        self.failures = tuple(each for each in failures if each.stage != LOOK)
        self.curves = folder_curves(self.files) if pending is None else pending.curves
        self.source = _source(self.files)
        failed = {failure.path for failure in self.failures}
        found, self.stale = viewed_images(self.files, self.source, self.model, failed)
        self.images = tuple(found)
        self._by_name = {image.name: image for image in self.images}
        self._lock = threading.Lock()
        self._record: dict[str, Any] | None = None

    @property
    def has_proposals(self) -> bool:
        """Whether mask proposals were kept of the images."""
        return self.source is not None

    def has_certainty(self) -> bool:
        """Whether there are maps of certainty."""
        return (self.files.root / "certainty").is_dir() and any(
            self._has_certainty(image.name) for image in self.images
        )

    def image(self, name: str) -> ViewedImage:
        """One image.

        Raises:
            ConfigError: If there is none of this name.
        """
        found = self._by_name.get(name)
        if found is None:
            raise ConfigError(
                f"Expected an image with a label map in {self.files.root}, but got {name!r}."
            )
        return found

    def record(self) -> dict[str, Any]:
        """The `RunRecord` of all images, made once; not to be changed.

        Raises:
            As `record_of`.
        """
        with self._lock:
            if self._record is None:
                self._record = self.record_of(range(len(self.images)))
            return self._record

    def record_of(self, rows: Sequence[int], damaged: Sequence[Failure] = ()) -> dict[str, Any]:
        """The `RunRecord` of some of the images, JSON-ready.

        Args:
            rows: Their numbers in `images`, in the order in which they are listed.
            damaged: What was found out by looking at them.

        Raises:
            CheckpointError: If stored features or the model are damaged.
            BackboneError: If this version does not know the backbone.
        """
        images, record = [self.images[row] for row in rows], self.files.record
        gone = [image for image in images if is_gone(image)]
        facts, examples = self._clusters(images)
        sizes = self._sizes()
        return {
            "format": FORMAT,
            "title": title_of(self.files.root),
            "folder": self.folder,
            "date": record.get("dated", {}).get("date", record.get("finished", "")),
            "about": record.get("about", ""),
            "command": record.get("command", ""),
            "model": self.model,
            "num_clusters": self.num_clusters,
            "backbone": backbone_facts(record),
            "method": self._method(),
            "inputs": list(record.get("inputs", ())),
            "has_proposals": self.has_proposals,
            "has_certainty": self.has_certainty(),
            "images": image_columns(images, {image.name for image in gone}),
            "total_images": len(self.images),
            "clusters": facts,
            "cluster_certainty": cluster_certainty(images, self.num_clusters),
            "examples": examples,
            "facts": run_facts(self.files, self.source),
            "warnings": [
                *run_warnings(self.num_clusters, len(sizes), self.stale),
                *_unchecked(self.images),
            ],
            "failures": [
                {**asdict(each), "path": printable(each.path)}
                for each in [*self.failures, *_gone(gone, damaged), *damaged]
            ],
            "settings": run_settings(self.files, stored=self.has_proposals),
            "timings": {
                stage: seconds
                for stage, seconds in record.get("seconds", {}).items()
                if stage != "report"  # not over while the report is written
            },
            "curves": curves_record(self.curves),
            "tree": viewed_tree(self.files),
            "advice": advice(self._advised(sizes, len(self.failures))),
        }

    def _method(self) -> str:
        return str(self.files.record.get("config", {}).get("fit", {}).get("method", ""))

    def _sizes(self) -> list[int]:
        """Clusters with pixels in any label map, the largest first."""
        pixels = Counter[int]()
        for image in self.images:
            pixels.update(image.clusters)
        alive = [each for each, number in pixels.items() if number and each < self.num_clusters]
        return sorted(alive, key=lambda each: (-pixels[each], each))

    def _unnamed(self, sizes: Sequence[int]) -> list[int]:
        """Classes with pixels of which nobody said anything, the largest first."""
        try:
            table = read_classes(self.files.root)
        except ConfigError:  # whoever shows the names says it
            return []
        owners = {each: entry for entry in table.classes for each in entry.clusters}
        found = [owners[each] for each in sizes if each in owners]
        return list(dict.fromkeys(each.id for each in found if not is_touched(each)))

    def _advised(self, sizes: Sequence[int], failures: int) -> Advised:
        record = self.files.record
        config = record.get("config", {})
        return Advised(
            self.folder,
            list(record.get("inputs", ())),
            str(record["settings"]["backbone"]["name"]),
            self._method() or "em",
            str(config.get("preset", "default")),
            self.num_clusters,
            len(sizes),
            self._unnamed(sizes),
            len(self.images),
            self.files.labels(self.images[0].name) if self.images else None,
            failures,
            (self.files.model / "model.json").exists(),
            config.get("fit", {}).get("initialise") == "head",
        )

    def _clusters(
        self, images: Sequence[ViewedImage]
    ) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """`ClusterFacts`, None where no features fit the model, and `ClusterExamples`."""
        known = self._from_features(images)
        facts, examples = (None, None) if known is None else known
        return facts, [
            share_examples(images, cluster)
            if examples is None or not examples[cluster]["best"]
            else examples[cluster]
            for cluster in range(self.num_clusters)
        ]

    def _from_features(
        self, images: Sequence[ViewedImage]
    ) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        if self.source is None or not (self.files.model / "model.json").exists():
            return None
        rows = [index for index, image in enumerate(images) if image.proposals]
        rows = [rows[index] for index in evenly(len(rows), MOST_READ)]
        manifest = read_image_list(self.source.manifest)
        views = [View(**each) for each in manifest["views"]]
        digest = read_digest(self.source.digest)
        store = FeatureStore(self.source.store, manifest["settings"], views, digest)
        try:
            stored = proposals_in(store, [images[row].name for row in rows])
        except DatasetError:
            return None  # no proposal has a direction: examples are photographs then
        model = Model.load(self.files.model)
        if model.prototypes.shape[1] != stored.unit.shape[1]:
            return None  # features of another backbone, from which nothing is fitted yet
        return cluster_facts(stored, proposal_logits(stored, model), rows)

    # ---- pictures --------------------------------------------------------------------------------

    def photo(self, name: str, side: int | None = None) -> bytes:
        """A photograph as JPEG.

        Args:
            name: Of the image.
            side: Longest side at most; None = as large as it is, up to 8 megapixels.

        Raises:
            ConfigError: If there is no image of this name.
            ImageError: If the photograph is gone, changed or cannot be read.
        """
        return jpeg(self.pixels(name, side))

    def pixels(self, name: str, side: int | None = None) -> Image:
        """(h, w, 3) uint8 RGB of a photograph, upright; arguments and errors as for `photo`."""
        image = self.image(name)
        if image.photo is None:
            raise ImageError(f"Expected to know where {name} lies, but the folder does not say.")
        width, height = shown_size(image.width, image.height, side)
        photo = read_photo(
            image.photo,
            min(MAP_PIXELS, width * height),
            inputs=inputs_of(self.files),
            page=image.page,
        )
        check_photograph(image.photo, photo.sha256, image.checksum)
        return thumbnail(photo.image, max(width, height))

    def maps(self, name: str, side: int | None = None) -> tuple[int, int, bytes]:
        """The id maps of an image.

        Args:
            name: Of the image.
            side: Longest side at most; None = as large as they are, up to 8 megapixels.

        Returns:
            Width, height, and zlib of little-endian uint16: clusters row by row, 255 where ignored;
            then, if the folder has them, mask proposals, 0 where there is none.

        Raises:
            ConfigError: If there is no image of this name.
            ImageError: If a map cannot be read.
        """
        image = self.image(name)
        width, height = shown_size(image.width, image.height, side)
        found = [read_label_image(self.files.labels(name), (height, width))]
        if self.source is not None:
            found.append(read_label_image(self.source.proposals(name), (height, width)))
        return width, height, packed_ids(found)

    def certainty(self, name: str, side: int | None = None) -> tuple[int, int, bytes] | None:
        """The certainty of every pixel of an image; None if there is no map of it.

        Args:
            name: Of the image.
            side: As for `maps`.

        Returns:
            Width, height, and zlib of uint8, 255 for 1.

        Raises:
            ConfigError: If there is no image of this name.
            ImageError: If the map cannot be read.
        """
        self.image(name)
        if not self._has_certainty(name):
            return None
        path = self.files.certainty(name)
        width, height = shown_size(*read_png_size(path), side)
        levels = read_label_image(path, (height, width)).astype(np.uint8)
        return width, height, packed_levels(levels)

    def _has_certainty(self, name: str) -> bool:
        return read_png_info(self.files.certainty(name)).get("model") == self.model


def shown_size(width: int, height: int, side: int | None) -> tuple[int, int]:
    """Width and height at which an image is shown: at most `MAP_PIXELS`, and no longer than asked.

    Args:
        width: Its own, in pixels.
        height: Likewise.
        side: Longest side at most, 1 or more; None = as large as may be.

    Raises:
        ConfigError: If the side is no size.
    """
    if side is not None and side < 1:
        raise ConfigError(f"Expected a side of 1 pixel or more, but got {side}.")
    scale = min(1.0, math.sqrt(MAP_PIXELS / max(1, width * height)))
    if side is not None:
        scale = min(scale, side / max(width, height, 1))
    if scale == 1.0:
        return width, height
    return max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6))


def is_gone(image: ViewedImage) -> bool:
    """Whether the photograph is not where it was when it was segmented."""
    return image.photo is None or not image.photo.exists()


def _unchecked(images: Sequence[ViewedImage]) -> list[str]:
    count = sum(each.checksum is None for each in images)
    sentence = (
        f"{count} label maps are of an earlier version and do not say of which photograph they were"
        " made; it was not compared."
    )
    return [sentence] if count else []


def _source(files: RunFolder) -> RunFolder | None:
    """The run that stored what is known of the images: the folder itself, or, of a candidate, the
    run that it is in.
    """
    for root in (files.root, *_run_of_candidate(files.root)):
        if manifest_of(root) is not None:
            return RunFolder(root)
    return None


def _run_of_candidate(root: Path) -> tuple[Path, ...]:
    above = root.parent
    return (above.parent,) if above.name == "candidates" else ()


def path_of(image: ViewedImage) -> str:
    """Where the photograph lay; the name of the image where that is not on record."""
    return image.name if image.photo is None else str(image.photo)


def _gone(images: Sequence[ViewedImage], known: Sequence[Failure]) -> list[Failure]:
    """Failures for images whose photographs are gone, but for those that are known."""
    paths = {failure.path for failure in known}
    why = (
        "Expected the photograph where it was when it was segmented, but there is none. Its label"
        " map is kept; put the file back, or segment again."
    )
    return [Failure(path_of(each), LOOK, why) for each in images if path_of(each) not in paths]
