"""The files of a folder as a whole: its record, lists, model, names, and what a person said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from primaps.config import from_record
from primaps.errors import PrimapsError
from primaps.naming.corrections import parse_corrections
from primaps.naming.table_text import parse_classes
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.classes import default_colours, read_classes
from primaps.pipeline.edit_log import EditFiles
from primaps.pipeline.fitting import read_snapshots, snapshot_folder
from primaps.pipeline.verifying.verdict import Fault, Remade
from primaps.runs.model import Model
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder, read_failures, read_warnings
from primaps.runs.store import read_json, read_tensors

_END = b"</html>"


def look_at_record(folder: RunFolder) -> Iterator[Fault]:
    """Whether the settings on record can be read."""
    try:
        from_record(folder.record["config"])
        folder.record["settings"]["backbone"]["name"]
    except (PrimapsError, KeyError, TypeError, AttributeError) as error:
        yield Fault(
            "run.json",
            f"does not hold the settings of a run: {error}. Move the folder away and run anew, or"
            " put a copy of run.json back.",
        )


def look_at_lists(folder: RunFolder) -> Iterator[Fault]:
    """Failures, warnings, certainties, and what was kept of a store that was removed."""
    if folder.digest.exists():
        yield from _tried(
            folder.root, folder.digest, "proposals", lambda: read_tensors(folder.digest)
        )
    for path, read in (
        (folder.failures_file, lambda: read_failures(folder)),
        (folder.warnings_file, lambda: read_warnings(folder)),
        (folder.certainties, lambda: _lines(folder.certainties)),
    ):
        if path.exists():
            yield from _tried(folder.root, path, "lists", read)


def look_at_report(folder: RunFolder) -> Iterator[Fault]:
    """Whether the report is there as a whole."""
    path = folder.report
    if not path.exists():
        yield Fault(path.name, "is missing", "report", there=False)
        return
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 64))
        if not stream.read().rstrip().endswith(_END):
            yield Fault(path.name, "is cut short", "report")


def look_at_model(root: Path, folder: Path, *, refit: bool) -> Iterator[Fault]:
    """A model.

    Args:
        root: Of what is looked at.
        folder: The model's.
        refit: A fit gives the same model again.
    """
    remade: Remade = "fit" if refit and not _with_names(folder) else ""
    unfinished = folder / "checkpoint.safetensors"
    if unfinished.exists():
        yield from _tried(root, unfinished, "nothing", lambda: read_tensors(unfinished))
    path = folder / "model.json"
    if not path.exists():
        return
    try:
        model = Model.load(folder)
    except (PrimapsError, TypeError, ValueError) as error:
        for each in (path, folder / "prototypes.safetensors"):
            said = "belongs to a model that cannot be read" if each != path else str(error)
            if each.exists():
                yield Fault(each.relative_to(root).as_posix(), said, remade)
        return
    if snapshot_folder(folder).is_dir():
        try:
            read_snapshots(model, folder)
        except (PrimapsError, KeyError) as error:
            yield Fault(snapshot_folder(folder).relative_to(root).as_posix(), str(error))


def look_at_names(folder: Path) -> Iterator[Fault]:
    """What a person typed and clicked: reported, never removed."""
    named = NamedFolder(folder)
    for path, read in (
        (named.classes, lambda: _classes(named)),
        (
            named.corrections,
            lambda: parse_corrections(named.read_corrections(), str(named.corrections)),
        ),
        (EditFiles(named).log, lambda: EditFiles(named).read()),
        (EditFiles(named).pending, lambda: read_json(EditFiles(named).pending)),
    ):
        if path.exists():
            yield from _tried(folder, path, "", read)
    candidates = CandidateFolder(folder)
    for number in candidates.numbers():
        path = candidates.of(number) / "candidate.json"
        yield from _tried(folder, path, "", partial(candidates.read, number))
        yield from look_at_model(folder, candidates.of(number) / "model", refit=False)


def _tried(root: Path, path: Path, remade: Remade, read: Callable[[], object]) -> Iterator[Fault]:
    try:
        read()
    except (PrimapsError, OSError, ValueError, KeyError, TypeError) as error:
        yield Fault(path.relative_to(root).as_posix(), f"cannot be read: {error}", remade)


def _classes(named: NamedFolder) -> None:
    """Read the names, as those of the present clusters if there are such."""
    if (named.root / "model.json").exists() or (named.root / "model" / "model.json").exists():
        read_classes(named.root)
    else:
        parse_classes(named.read_classes() or "", str(named.classes), default_colours())


def _lines(path: Path) -> None:
    for line in path.read_bytes().splitlines():
        json.loads(line)


def _with_names(folder: Path) -> bool:
    """Whether a model was fitted with names, so that another fit gives another one; also if that
    cannot be known.
    """
    try:
        return "names" in read_json(folder / "model.json").get("settings", {})
    except PrimapsError:
        return (folder.parent / "candidates").exists()
