"""Files of a folder that are replaced all together, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from primaps.errors import OutputError
from primaps.runs.store import TEMPORARY_SUFFIX, hold, read_json, release, remove_file, write_json


@contextmanager
def replacing(folder: Path, names: Sequence[str], kept: Collection[str] = ()) -> Iterator[Path]:
    """Gives a folder to make files in; at the end they take the place of those in ``folder``.

    If anything fails, or at Ctrl-C, ``folder`` stays as it was. A process that is killed while it
    makes files changes none; what one had moved that was killed while files were moved, the next
    one puts back first.

    Args:
        folder: Made if it does not exist. Files are made in a hidden folder in it, so that all are
            on one file system.
        names: Of files that may be made, in the order in which they are moved: signs that others
            are complete come last.
        kept: Those of them that stay if none is made in their place; the others go.

    Raises:
        OutputError: If the folder cannot be written, or another process is at it.
    """
    root = folder / f".new{TEMPORARY_SUFFIX}"
    made, aside, journal = root / "made", root / "replaced", root / "moves.json"
    hold(root)
    try:
        with _writing(root):
            _undo(folder, root, names)
            for left_over in filter(Path.exists, (made, aside)):
                shutil.rmtree(left_over)
            made.mkdir(parents=True)
            aside.mkdir()
        yield made
        new = [name for name in names if (made / name).exists()]
        old = [
            name
            for name in names
            if os.path.lexists(folder / name) and (name in new or name not in kept)
        ]
        write_json(journal, {"new": new, "old": old})
        with _writing(folder):
            try:
                for source, target in _moves(folder, root, old, new):
                    source.replace(target)
                remove_file(journal)
            except BaseException:
                _undo(folder, root, names)
                raise
    finally:
        if not journal.exists():  # else files could not be put back, and these are the only ones
            # a left-over does no harm: the next one deletes it
            shutil.rmtree(root, ignore_errors=True)
        release(root)


def _moves(
    folder: Path, root: Path, old: Sequence[str], new: Sequence[str]
) -> list[tuple[Path, Path]]:
    """Source and target, in order; signs that files are complete go first and come last."""
    out = [(folder / name, root / "replaced" / name) for name in reversed(old)]
    return out + [(root / "made" / name, folder / name) for name in new]


def _undo(folder: Path, root: Path, names: Sequence[str]) -> None:
    """Put back what was moved, if moves are under way."""
    journal = root / "moves.json"
    if not journal.exists():
        return
    record = read_json(journal)
    old, new = ([name for name in names if name in record[which]] for which in ("old", "new"))
    for source, target in reversed(_moves(folder, root, old, new)):
        if os.path.lexists(target) and not os.path.lexists(source):
            target.replace(source)
    remove_file(journal)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"Expected to replace files in {folder}, but got: {error}. Choose another folder."
        ) from error
