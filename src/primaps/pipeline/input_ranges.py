"""The ranges of values of a folder: measured on its images once, and then kept, so that brightness
stays comparable between images, runs and predictions.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from primaps.config import InputConfig
from primaps.data.decoded import stored, value_kind
from primaps.data.decoding import decoding
from primaps.data.paths import printable
from primaps.data.value_ranges import as_text, measured_range, sample
from primaps.data.values import Values
from primaps.errors import ImageError
from primaps.pipeline.framed import inputs_of
from primaps.progress import Progress
from primaps.runs.run import Run
from primaps.types import ImageFile

SAMPLE: Final = 32
"""Images of a kind at most that a range is measured on."""

_NEVER_DEEP: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".webp", ".avif"),
    *(".heic", ".heif", ".hif"),
)
"""Not opened to see of which kind their values are."""


def settle_ranges(run: Run, *, anew: bool = False) -> None:
    """Settle the ranges of a run before it reads its images: those of its settings or its folder,
    and for kinds of values that these do not know, measured ones.

    Args:
        run: Its folder is not claimed yet; its configuration gets the ranges.
        anew: Leave aside what the folder has.
    """
    inputs = run.config.inputs
    if inputs.value_range != "auto":
        return
    kept = (*(() if anew else inputs_of(run.folder).ranges), *inputs.ranges)
    known: dict[str, tuple[str, float, float]] = {each[0]: each for each in kept}
    for kind, images in sorted(_by_kind(run.images).items()):
        if kind not in known:
            found = _measured(kind, images, inputs, run.progress)
            if found is not None:
                known[kind] = (kind, *found)
    ranges = tuple(known[kind] for kind in sorted(known))
    run.config = dataclasses.replace(run.config, inputs=dataclasses.replace(inputs, ranges=ranges))


def _by_kind(images: Sequence[ImageFile]) -> dict[str, list[ImageFile]]:
    """The images of deep values; those that cannot be read are reported later."""
    found: dict[str, list[ImageFile]] = defaultdict(list)
    for image in images:
        if image.path.suffix.lower() in _NEVER_DEEP:
            continue
        try:
            with decoding(image.path) as stream:
                kind = value_kind(stream, printable(image.path))
        except ImageError:
            continue
        if kind is not None:
            found[kind].append(image)
    return found


def _measured(
    kind: str, images: Sequence[ImageFile], inputs: InputConfig, progress: Progress
) -> tuple[float, float] | None:
    """The range of a kind, from the first images in an order as good as random and the same in
    every run; None if none can be read.
    """
    taken: list[NDArray[Any]] = []
    for image in sorted(images, key=_draw):
        try:
            with decoding(image.path) as stream:
                found = stored(stream, printable(image.path), None, inputs, image.page)
        except ImageError:
            continue
        if isinstance(found.content, Values) and found.content.kind == kind:
            taken.append(sample(found.content))
        if len(taken) == SAMPLE:
            break
    if not taken:
        return None
    low, high = measured_range(np.concatenate(taken))
    progress.note(
        f"Values of {kind} from {as_text(low)} to {as_text(high)} become 0 to 255, measured on"
        f" {len(taken)} of {len(images)} images; --range sets others."
    )
    return low, high


def _draw(image: ImageFile) -> bytes:
    """A sort key as good as random, and the same in every run."""
    return hashlib.sha256(image.name.encode("utf-8", "surrogatepass")).digest()
