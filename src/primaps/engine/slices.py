"""One shard from beginning to end: its images as files, the work on them, the results where they
belong, and the record that says so.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from primaps.data.looking import LookHere
from primaps.engine.orders import Task, scratch_of, staging_of
from primaps.engine.results import Result, is_done, publish_files, publish_shard
from primaps.engine.works import Work
from primaps.errors import DatasetError, OutputError
from primaps.pipeline.input_pages import all_pages
from primaps.pipeline.output_names import without_names_that_fail
from primaps.runs.run import Run
from primaps.runs.store import hold, release, write_problem
from primaps.runs.watching import Watch
from primaps.shards.places import place_of
from primaps.shards.plan import references_of
from primaps.shards.staging import stage
from primaps.types import Failure, ImageFile

_WAITS: Final = 20
"""Half seconds that a scratch folder is waited for: who worked there before may still be ending."""


class ShardWorker:
    """Works on shards, one after the other, with one backbone.

    Args:
        work: What is to be done.
        watch: Who is told which images are in work.

    Raises:
        PrimapsError: If the backbone cannot be loaded.
    """

    def __init__(self, work: Work, watch: Watch) -> None:
        self.work, self.watch = work, watch
        self.backbone = work.backbone.load()
        self._place = place_of(work.place)

    def __call__(self, task: Task) -> dict[str, Any]:
        """Work on a shard, unless it is done.

        Returns:
            Figures for the command, JSON-ready.

        Raises:
            PrimapsError: If something concerns more than one image: a full disk, other settings.
        """
        done = is_done(self.work, self._place, task.shard)
        if done is not None:
            return done
        scratch = scratch_of(self.work.scratch, task.shard)
        _hold_when_free(scratch)
        try:
            result = self._worked(task, scratch)
            if self.work.out is None:
                told = publish_shard(self._place, task.shard, result, scratch / "shard")
            else:
                told = publish_files(self.work, self._place, task.shard, result)
        finally:
            release(scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        return told

    def _worked(self, task: Task, scratch: Path) -> Result:
        references = references_of(self._place, task.shard)
        staged = stage(references, staging_of(self.work.scratch, task.shard))
        pages = self.work.settings_of_run.inputs.pages == "all"
        listed = self._pages(task, staged.images) if pages else staged.images
        images, refused, _ = without_names_that_fail(listed, scratch)
        failures = [*staged.failures]
        if self.work.out is None:  # else the command has found and reported them
            failures += refused
        result = Result(self.work, images, staged.places, failures)
        together = [
            image
            for image in images
            if image.name not in task.quarantined and image.name not in task.alone
        ]
        parts = [("together", together)] if together else []
        for number, image in enumerate(images):
            if image.name in task.quarantined:
                reason = task.quarantined[image.name]
                result.failures.append(Failure(image.place, "quarantine", reason))
            elif image.name in task.alone:
                parts.append((f"alone-{number:06d}", [image]))
        for name, part in parts:
            result.runs.append(self._made(scratch / name, part))
        return result

    def _pages(self, task: Task, files: Sequence[ImageFile]) -> tuple[ImageFile, ...]:
        """Every page of every file; those that are set aside are not looked into again."""
        aside = tuple(each for each in files if each.name in task.quarantined)
        look = _WatchedLook(self.watch)
        listed = all_pages([each for each in files if each.name not in task.quarantined], look)
        return tuple(sorted((*aside, *listed), key=lambda image: image.name))

    def _made(self, folder: Path, images: Sequence[ImageFile]) -> Run:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(write_problem(folder, error)) from error
        run = self.work.run(folder, self.backbone, tuple(images))
        run.watch = self.watch
        try:
            self.work.make(run)
        except DatasetError:
            if not _all_failed(run):
                raise
        return run


class _WatchedLook(LookHere):
    """Looks into files, and tells which one it is at: it may end this process."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def pages(self, image: ImageFile) -> int:
        self._watch.begun(image)
        try:
            return super().pages(image)
        finally:
            self._watch.looked(image)


def _hold_when_free(folder: Path) -> None:
    for attempt in range(_WAITS):
        try:
            hold(folder)
        except OutputError:
            if attempt == _WAITS - 1:
                raise
            time.sleep(0.5)
        else:
            return


def _all_failed(run: Run) -> bool:
    """Whether a stage ended because it could use no image at all: no reason to stop the others."""
    failed = {failure.path for failure in run.failures}
    return all(image.place in failed for image in run.images)
