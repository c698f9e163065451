"""Photographs to try the package on: overlapping views of a few that scikit-image and scikit-learn
carry.

A class is something that recurs, so a photograph alone forms none. Every photograph is therefore
cut into views that overlap: what lies in several of them must get one colour, which a person sees
at once.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image as PILImage

from primaps.data.reading import read_image
from primaps.errors import MissingExtraError
from primaps.runs.store import atomic_write
from primaps.types import Image

NUM_CLASSES: Final = 12
"""Fits the photographs: two for each."""

_VIEWS: Final = {"left": (0.0, 0.0), "right": (0.0, 1.0), "below": (1.0, 0.5)}
"""Where a view lies: 0 = at the top or left edge, 1 = at the bottom or right one."""
_SHARE: Final = 0.7
"""Of each side of the photograph."""


@dataclass(frozen=True)
class Source:
    """A photograph inside another package.

    Attributes:
        title: What is seen.
        package: Name for importing.
        file: Path inside the package.
        rights: Who made it, and under which terms.
    """

    title: str
    package: str
    file: str
    rights: str


SOURCES: Final = (
    Source("cat", "skimage", "data/chelsea.png", "Stefan van der Walt, CC0"),
    Source("coffee", "skimage", "data/coffee.png", "Rachel Michetti, CC0"),
    Source("rocket", "skimage", "data/rocket.jpg", "SpaceX, public domain"),
    Source("astronaut", "skimage", "data/astronaut.png", "NASA, public domain"),
    Source("pavilion", "sklearn", "datasets/images/china.jpg", "danielbuechele, CC BY 2.0"),
    Source("flower", "sklearn", "datasets/images/flower.jpg", "vultilion, CC BY 2.0"),
)


def views_folder(out: Path) -> Path:
    """Where the views of a demo go: beside its run folder, which is never scanned for images."""
    out = out.resolve()
    return out.parent / f"{out.name}-photographs"


def photographs(sources: Sequence[Source] = SOURCES) -> dict[Source, Path]:
    """Those photographs that are installed, and where.

    Raises:
        MissingExtraError: If there is none: neither package is installed, or without its data.
    """
    found = {source: path for source in sources if (path := _installed(source)) is not None}
    if not found:
        raise MissingExtraError(
            "Expected the photographs that come with scikit-image or scikit-learn, but found none. "
            "Install them with: pip install 'primaps[demo]'"
        )
    return found


def write_views(folder: Path, sources: Sequence[Source] = SOURCES) -> tuple[list[Path], str]:
    """Cut the installed photographs into views; files that are right already stay as they are.

    Args:
        folder: Where the PNG files go.
        sources: The photographs; those that are not installed are left out.

    Returns:
        The files, and in words what they show and whose photographs they are.

    Raises:
        MissingExtraError: If there is no photograph.
        ImageError: If one cannot be read.
        OutputError: If a view cannot be written.
    """
    found, written = photographs(sources), list[Path]()
    for source, path in found.items():
        for view, image in views(read_image(path)).items():
            target, data = folder / f"{source.title}-{view}.png", _png(image)
            if not target.exists() or target.read_bytes() != data:
                atomic_write(target, data)
            written.append(target)
    return written, about(list(found))


def views(image: Image) -> dict[str, Image]:
    """Overlapping parts of a photograph, (H, W, 3) uint8, by name."""
    height, width = image.shape[:2]
    rows, columns = round(height * _SHARE), round(width * _SHARE)
    parts = {}
    for name, (down, across) in _VIEWS.items():
        top, left = round((height - rows) * down), round((width - columns) * across)
        parts[name] = image[top : top + rows, left : left + columns]
    return parts


def about(sources: Sequence[Source]) -> str:
    """What the pictures are, in sentences."""
    listed = "; ".join(f"{source.title} ({source.rights})" for source in sources)
    return (
        f"{len(sources)} photographs, each cut into {len(_VIEWS)} overlapping views, so that the"
        " same things recur and should have the same colours. They come with scikit-image and"
        f" scikit-learn: {listed}."
    )


def _installed(source: Source) -> Path | None:
    spec = importlib.util.find_spec(source.package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / source.file
    return path if path.exists() else None


def _png(image: Image) -> bytes:
    buffer = io.BytesIO()
    PILImage.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()
