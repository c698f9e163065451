"""A photograph that is tried, segmented with the model of the run or with another backbone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from primaps.data.reading import read_photo
from primaps.errors import CheckpointError
from primaps.heads.loading import load_backbone
from primaps.outputs.viewer.pictures import jpeg, packed_ids
from primaps.outputs.visualize import thumbnail
from primaps.pipeline.trying import try_photo
from primaps.pipeline.viewing import shown_size
from primaps.runs.model import Model
from primaps.runs.run import Run
from primaps.studio.served import Served
from primaps.types import FeatureExtractor

_QUALITY = 88


@dataclass(frozen=True)
class Shown:
    """A photograph that was tried, as browsers get it.

    Attributes:
        width: Of the maps, in pixels.
        height: Likewise.
        proposals: How many there are.
        seconds: That segmenting took.
        photo: JPEG, not larger than the maps.
        maps: As of an image of the run.
    """

    width: int
    height: int
    proposals: int
    seconds: float
    photo: bytes
    maps: bytes


class Segmenting:
    """Segments single photographs; the backbone that was tried last stays in memory.

    Args:
        served: The folder.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._other: tuple[str, FeatureExtractor] | None = None

    def shown(self, path: Path, threshold: float | None, backbone: str | None) -> Shown:
        """Segment a photograph. One at a time.

        Args:
            path: The file.
            threshold: Of proposals; None = the run's, or the other backbone's own.
            backbone: Another one than the run's; None = the run's.

        Raises:
            CheckpointError: If the folder has no model, or no stored proposals.
            BackboneError: If the weights of the backbone cannot be had.
            ImageError: If the photograph cannot be read.
        """
        run = self._served.run()
        photo = read_photo(path, run.config.predict.max_pixels, inputs=run.config.inputs)
        if backbone is None:
            if not (run.folder.model / "model.json").exists():
                raise CheckpointError("Expected a run with a model, to try it, but it has none.")
            found = try_photo(
                photo,
                run.backbone,
                Model.load(run.folder.model),
                run.config,
                run.threshold if threshold is None else threshold,
            )
        else:
            other = self._loaded(backbone)
            own = other.threshold or run.threshold
            found = try_photo(
                photo, other, None, run.config, own if threshold is None else threshold
            )
        width, height = shown_size(photo.width, photo.height, None)
        maps = [_reduced(each, width, height) for each in (found.labels, found.proposals)]
        return Shown(
            width,
            height,
            found.num_proposals,
            round(found.seconds, 3),
            jpeg(thumbnail(photo.image, max(width, height)), _QUALITY),
            packed_ids(maps),
        )

    def _loaded(self, name: str) -> FeatureExtractor:
        if self._other is None or self._other[0] != name:
            self._other = None  # before another one comes, this one goes
            self._other = name, load_backbone(name, device=_device(self._served.run()))
        return self._other[1]


def _device(run: Run) -> str:
    return str(run.backbone.device)


def _reduced(ids: NDArray[np.integer[Any]], width: int, height: int) -> NDArray[np.integer[Any]]:
    """(H, W) ids at another size, each pixel from the nearest one."""
    rows = (np.arange(height) + 0.5) * ids.shape[0] / height
    columns = (np.arange(width) + 0.5) * ids.shape[1] / width
    found: NDArray[np.integer[Any]] = ids[rows.astype(np.int64)[:, None], columns.astype(np.int64)]
    return found
