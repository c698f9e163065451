"""Images of an object store or of tar files as photographs in a folder, under their names: what is
reported, named and exported has to be there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from primaps.errors import OutputError
from primaps.runs.store import write_problem
from primaps.shards.references import Reference
from primaps.shards.staging import stage, time_of
from primaps.types import Failure

_AT_A_TIME: Final = 64


def copy_images(
    references: Sequence[Reference], root: Path, advance: Callable[[int], None] = lambda _: None
) -> list[Failure]:
    """Copy images to a folder; those that are there are kept.

    Args:
        references: Of the images; their names are safe as paths.
        root: The folder.
        advance: Told how many more are there.

    Returns:
        Those that could not be fetched.

    Raises:
        OutputError: If something cannot be written.
    """
    failures: list[Failure] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(references), _AT_A_TIME):
            part = references[start : start + _AT_A_TIME]
            missing = [each for each in part if not is_copied(each, root / each.name)]
            with tempfile.TemporaryDirectory(dir=root, prefix=".") as folder:
                staged = stage(missing, Path(folder))
                failures += staged.failures
                for image in staged.images:
                    target = root / image.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    if image.path.is_relative_to(folder):
                        image.path.replace(target)
                    else:
                        shutil.copy2(image.path, target)
            advance(len(part))
    except OSError as error:
        raise OutputError(write_problem(root, error)) from error
    return failures


def is_copied(reference: Reference, path: Path) -> bool:
    """Whether a file is the copy of an image, by its size and time."""
    try:
        status = path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (reference.size, time_of(reference.stamp))
