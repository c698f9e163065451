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
from primaps.data.looking import HERE, Look
from primaps.data.value_ranges import as_text, measured_range
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


def settle_ranges(run: Run, *, anew: bool = False, look: Look = HERE) -> None:
    """Settle the ranges of a run before it reads its images: those of its settings or its folder,
    and for kinds of values that these do not know, measured ones.

    Args:
        run: Its folder is not claimed yet; its configuration gets the ranges.
        anew: Leave aside what the folder has.
        look: Who looks into them.
    """
    inputs = run.config.inputs
    if inputs.value_range != "auto":
        return
    kept = (*(() if anew else inputs_of(run.folder).ranges), *inputs.ranges)
    known: dict[str, tuple[str, float, float]] = {each[0]: each for each in kept}
    for kind, images in sorted(_by_kind(run.images, look).items()):
        if kind not in known:
            found = _measured(kind, images, inputs, run.progress, look)
            if found is not None:
                known[kind] = (kind, *found)
    ranges = tuple(known[kind] for kind in sorted(known))
    run.config = dataclasses.replace(run.config, inputs=dataclasses.replace(inputs, ranges=ranges))


def _by_kind(images: Sequence[ImageFile], look: Look) -> dict[str, list[ImageFile]]:
    """The images of deep values; those that cannot be read are reported later."""
    found: dict[str, list[ImageFile]] = defaultdict(list)
    for image in images:
        if image.path.suffix.lower() in _NEVER_DEEP:
            continue
        try:
            kind = look.kind(image)
        except ImageError:
            continue
        if kind is not None:
            found[kind].append(image)
    return found


def _measured(
    kind: str, images: Sequence[ImageFile], inputs: InputConfig, progress: Progress, look: Look
) -> tuple[float, float] | None:
    """The range of a kind, from the first images in an order as good as random and the same in
    every run; None if none can be read.
    """
    taken: list[NDArray[Any]] = []
    for image in sorted(images, key=_draw):
        try:
            values = look.values(image, kind, inputs)
        except ImageError:
            continue
        if values is not None:
            taken.append(values)
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
