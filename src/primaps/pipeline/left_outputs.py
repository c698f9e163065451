"""Outputs belong to a run: what was made of images that are no inputs any more goes, and is named.

Stored features stay: they are no output, and an image that comes back needs them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from primaps.outputs.label_files import read_png_info
from primaps.runs.run import Run
from primaps.runs.store import remove_file

_NAMED = 5
"""Images that the note names."""

_PAGE = re.compile(r"\.p\d{4}$")
"""What follows the name of an image in that of one of its pages."""


def remove_left_outputs(run: Run) -> None:
    """Remove label maps, proposals, certainties and overlays of images that are not among those of
    the run. Files that this package did not write stay.

    Args:
        run: With all its images.

    Raises:
        OutputError: If a file cannot be removed.
    """
    present = {image.name for image in run.images}
    left: set[str] = set()
    for folder in ("labels", "proposals", "certainty"):
        root = run.folder.root / folder
        for path in list(_files(root, ".png")):
            name = _name(path, root)
            if name in present or _PAGE.sub("", name) in present or not _is_ours(path):
                continue
            remove_file(path)
            left.add(name)
            _remove_empty(path.parent, root)
    for name in left:
        overlay = run.folder.overlay(name)
        remove_file(overlay)
        _remove_empty(overlay.parent, run.folder.root / "overlays")
    if left:
        shown = ", ".join(sorted(left)[:_NAMED]) + (", ..." if len(left) > _NAMED else "")
        run.progress.note(
            f"Removed what was made of {len(left)} images that are no inputs any more: {shown}"
        )


def _files(root: Path, suffix: str) -> Iterator[Path]:
    return (path for path in root.rglob(f"*{suffix}") if path.is_file())


def _name(path: Path, root: Path) -> str:
    """Of the image that an output was made of."""
    return path.relative_to(root).as_posix().removesuffix(path.suffix)


def _is_ours(path: Path) -> bool:
    return bool(read_png_info(path).keys() & {"image", "model"})


def _remove_empty(folder: Path, root: Path) -> None:
    """A folder and those above it, below the root, as far as nothing is in them."""
    with contextlib.suppress(OSError):  # not empty, or not there
        while folder != root:
            folder.rmdir()
            folder = folder.parent
