"""A folder looked at as a whole, and rid of what is torn."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from primaps.compute.cores import one_thread_each, usable_cores
from primaps.errors import CheckpointError, PrimapsError
from primaps.pipeline.verifying.images import Expected, look_at
from primaps.pipeline.verifying.records import (
    look_at_lists,
    look_at_model,
    look_at_names,
    look_at_record,
    look_at_report,
)
from primaps.pipeline.verifying.shards import look_at_shards
from primaps.pipeline.verifying.verdict import Fault, Verdict
from primaps.progress import Progress, Silent
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import RunFolder
from primaps.runs.store import (
    LOCK_NAME,
    TEMPORARY_SUFFIX,
    hold,
    is_held,
    read_json,
    release,
    remove_file,
    remove_temporaries,
)
from primaps.shards.places import Place, is_url, place_of
from primaps.shards.plan import IN_SHARDS, PLAN_FILE
from primaps.shards.reading import ShardedOutputs

_WITH_LABELS: Final = {"segment", "demo", "predict", "Segmenter.predict_folder"}


def verify(folder: str | Path, *, fix: bool = False, progress: Progress | None = None) -> Verdict:
    """Open every file of a run, a prediction or a model, and say what is not as it should be.

    Args:
        folder: Given as ``--out``, or a model's. Of outputs in shards it may be a URL.
        fix: Remove what is torn and can be made again, and what killed commands left. What a person
            typed is never removed.
        progress: Who is told.

    Returns:
        What was found.

    Raises:
        CheckpointError: If the folder is none of these.
        OutputError: If something shall be removed, and another command is at work there, or it may
            not be removed.
    """
    if is_url(folder):
        return _verify_far(place_of(folder), fix=fix)
    root = Path(folder).expanduser()
    told = progress or Silent()
    if not any((root / name).exists() for name in ("run.json", "model.json")):
        why = "has neither run.json nor model.json" if root.exists() else "does not exist"
        raise CheckpointError(
            f"Expected the folder of a run, of `primaps predict` or of a model, but {root} {why}."
        )
    busy = is_held(root)
    if fix:
        hold(root)
    try:
        found = _Look(root, told).verdict(busy=busy)
        return _without_torn(found) if fix else found
    finally:
        if fix:
            release(root)


def _verify_far(place: Place, *, fix: bool) -> Verdict:
    """Outputs in shards in an object store, which has no locks."""
    if not place.exists("run.json"):
        raise CheckpointError(
            f"Expected outputs of `primaps ... --shards` at {place.url}, but it has no run.json."
        )
    shards, faults = look_at_shards(place)
    for number, fault in enumerate(faults):
        if fix and fault.removable:
            place.remove(fault.path)
            faults[number] = fault.gone()
    again = _again(ShardedOutputs(place).run_record, place.url)
    return Verdict(place.url, "run in shards", 1 + shards, tuple(faults), (), again)


def _without_torn(found: Verdict) -> Verdict:
    """The same, once removable files are removed."""
    with NamedFolder(Path(found.folder)).lock():  # else a file that names are written to would go
        remove_temporaries(Path(found.folder))
    faults = []
    for fault in found.faults:
        if fault.removable:
            remove_file(Path(found.folder) / fault.path)
            faults.append(fault.gone())
        else:
            faults.append(fault)
    return Verdict(found.folder, found.kind, found.files, tuple(faults), found.notes, found.again)


class _Look:
    """One look at a folder."""

    def __init__(self, root: Path, progress: Progress) -> None:
        self.root, self.progress = root, progress
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.files, self.busy = 0, False

    def verdict(self, *, busy: bool) -> Verdict:
        """Look at everything.

        Args:
            busy: Another command is at work in the folder.
        """
        self.busy = busy
        if busy:
            self.notes.append("Another command is at work here; what it has begun may show.")
        else:
            self.faults += _left_behind(self.root)
        if not (self.root / "run.json").exists():
            self.faults += look_at_model(self.root, self.root, refit=False)
            self.faults += look_at_names(self.root)
            return self._told("model", "the command that fitted it")
        self.files += 1
        try:
            run = RunFolder(self.root)
        except PrimapsError as error:
            self.faults.append(Fault("run.json", str(error)))
            self.faults += look_at_names(self.root)
            return self._told("run", "the same command")
        self.faults += look_at_record(run)
        if (self.root / PLAN_FILE).exists() or IN_SHARDS in run.record:
            shards, faults = look_at_shards(place_of(self.root))
            self.files += shards
            self.faults += faults
            return self._told("run in shards", _again(run.record, str(run.root)))
        listing, stored = _listing(run)
        self._look_at_run(run, listing, stored=stored)
        return self._told("run" if stored else "prediction", _again(run.record, str(run.root)))

    def _told(self, kind: str, again: str) -> Verdict:
        faults = tuple(sorted(self.faults, key=lambda fault: fault.path))
        return Verdict(self.root, kind, self.files, faults, tuple(self.notes), again)

    def _look_at_run(self, run: RunFolder, listing: Path, *, stored: bool) -> None:
        finished = str(run.record.get("status", "")).startswith("finished")
        if not finished and not self.busy:
            status = run.record.get("status", "unknown")
            again = _again(run.record, str(run.root))
            self.notes.append(f"Its last command did not end ({status}); {again} goes on.")
        try:
            manifest = read_json(listing) if listing.exists() else {}
            images: dict[str, Any] = dict(manifest.get("images", {}))
        except (CheckpointError, TypeError, ValueError) as error:
            remade = listing.relative_to(self.root).as_posix()
            self.faults.append(Fault(remade, str(error), "proposals" if stored else "label maps"))
            manifest, images = {}, {}
        self.faults += look_at_model(self.root, run.model, refit=stored)
        self.faults += look_at_names(self.root)
        self.faults += look_at_lists(run)
        command = run.record.get("command")
        labelled = finished and command in _WITH_LABELS
        if labelled:
            self.faults += look_at_report(run)
            if stored and not (run.model / "model.json").exists():
                self.faults.append(Fault("model/model.json", "is missing", "fit", there=False))
        views = len(manifest.get("views", ())) if stored and run.store.is_dir() else 0
        settings = manifest.get("settings") if finished else None
        model, clusters = _model_of(run)
        self._look_at_images(Expected(run, views, settings, model, labelled, clusters), images)
        self._look_at_photographs(images)

    def _look_at_images(self, expected: Expected, images: Sequence[str] | dict[str, Any]) -> None:
        outdated, names = 0, list(images)
        self.progress.start("images", len(names))
        try:
            with one_thread_each(), ThreadPoolExecutor(usable_cores(), "look") as pool:
                for found in pool.map(lambda name: look_at(expected, name), names):
                    self.faults += found.faults
                    self.files += found.files
                    outdated += found.outdated
                    self.progress.advance()
        finally:
            self.progress.finish()
        if outdated:
            self.notes.append(
                f"{outdated} label maps were made with another model than the present one;"
                f" {_again(expected.folder.record, str(self.root))} makes them again."
            )

    def _look_at_photographs(self, images: dict[str, Any]) -> None:
        paths = [Path(str(each["path"])) for each in images.values() if "path" in each]
        gone = sum(not path.exists() for path in paths)
        if gone:
            self.notes.append(
                f"{gone} photographs are not where they were. If they were moved: primaps report"
                f" {shlex.quote(str(self.root))} --images DIR"
            )


def _listing(run: RunFolder) -> tuple[Path, bool]:
    """The list of images, and whether proposals belong to them, so that it is a run's."""
    if run.manifest.exists() or run.store.is_dir() or not run.images_file.exists():
        return run.manifest, True
    return run.images_file, False


def _model_of(run: RunFolder) -> tuple[str | None, int]:
    """Fingerprint of the model of the label maps, and its number of clusters; None and 0 if they
    are not known.
    """
    try:
        record = read_json(run.model / "model.json")
        return str(record["fingerprint"]), int(record["num_clusters"])
    except (PrimapsError, KeyError, TypeError, ValueError):
        known = run.record.get("settings", {}).get("model", {}).get("fingerprint")
        return known, int(run.record.get("num_clusters") or 0)


def _left_behind(root: Path) -> Iterator[Fault]:
    """What killed writers left; folders below with a lock of their own are theirs."""
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not (Path(folder) / name / LOCK_NAME).exists()]
        for name in files:
            if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX):
                path = (Path(folder) / name).relative_to(root).as_posix()
                yield Fault(path, "was left by a command that was killed", "nothing")


def _again(record: Mapping[str, Any], out: str) -> str:
    """The command that makes things again; settings are those of the folder."""
    command, inputs = record.get("command"), record.get("inputs", ())
    if command in {"segment", "proposals"} and inputs:
        words = ["primaps", str(command), *map(str, inputs), "--out", out]
        return shlex.join(words)
    return f"the same `primaps {command}`" if command else "the same command"
