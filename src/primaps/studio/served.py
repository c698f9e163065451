"""The folder that a studio serves: what is read from it, and the one way to change it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from primaps import pipeline
from primaps.errors import CheckpointError, PrimapsError
from primaps.pipeline.accepting import finish_pending
from primaps.pipeline.candidates import CandidateFolder
from primaps.pipeline.classes import clusters_of
from primaps.pipeline.editing import Editing, Stale
from primaps.pipeline.viewing import Viewed
from primaps.progress import Progress
from primaps.runs.named_files import NamedFolder
from primaps.runs.run import Run
from primaps.runs.store import fingerprint, hold, release
from primaps.studio.answering import Refused, printable
from primaps.studio.knowing import Knowing

_TRIES: Final = 20
_PAUSE: Final = 0.1

Done = tuple[dict[str, Any], str]
"""The state after a change, and what was done, as a sentence."""

Tell = Callable[[str, dict[str, Any]], None]
"""Tells all browsers something: the kind of an event, and what it says."""


class Served:
    """A run folder, or a folder of `predict`, while a studio is at it. Thread-safe.

    Args:
        folder: The folder.
        tell: Whom to tell of changes.

    Raises:
        CheckpointError: If it holds no label maps.
        ConfigError: If names or corrections have a mistake; the message names the line.
        DatasetError: If no photograph is left.
    """

    def __init__(self, folder: Path, tell: Tell) -> None:
        self.root = folder.absolute()
        _check_folder(self.root)
        self.tell = tell
        self._lock, self._building = threading.RLock(), threading.Lock()
        self._editing = threading.Lock()
        self._exchanged_by: str | None = None
        self.generation = 0
        _finish_exchange(self.root)
        self.editing = Editing(self.root, lambda image, number: self.knowing().alike(image, number))
        self._start()
        self._revision = self.editing.revision()

    def _start(self) -> None:
        """Look at the folder as if for the first time."""
        record = _state(self.root / "run.json")  # before all that it is about
        viewed = Viewed(self.root)
        with self._lock:
            self.viewed, self.model, self._record = viewed, viewed.model, record
            self.generation += 1  # last: answers are kept by it
            self._images = {image.name: image.photo for image in viewed.images}
            self._run: Run | None = None
            self._knowing: Knowing | None = None
            self._candidates: dict[int, tuple[object, Viewed]] = {}

    def name(self, given: str) -> str:
        """The name of an image of the folder; nothing else that is given ever names a file.

        Raises:
            Refused: If there is no such image.
        """
        with self._lock:
            if given in self._images:
                return given
        short = printable(repr(given[:100]))
        raise Refused(404, f"Expected the name of an image of {self.root.name}, but got {short}.")

    def photo(self, name: str) -> Path | None:
        """Where a photograph lies, of a name from `name`."""
        with self._lock:
            return self._images.get(name)

    def state(self) -> dict[str, Any]:
        """What changes when somebody names, merges or corrects.

        Raises:
            ConfigError: If names or corrections have a mistake; the message names the line.
        """
        plan = CandidateFolder(self.root).plan
        for _ in range(_TRIES):  # files change places for some milliseconds
            if not plan.exists():
                break
            time.sleep(_PAUSE)
        return self.editing.state()

    def run(self, progress: Progress | None = None) -> Run:
        """The run, opened again; with a progress of its own it is opened for a job.

        Raises:
            CheckpointError: If the folder has no stored proposals, as that of `predict`.
            BackboneError: If the backbone's weights cannot be had.
        """
        if progress is not None:
            return pipeline.reopen(self.root, {}, progress=progress)
        with self._building:
            with self._lock:
                known = self._run
            if known is None:
                known = pipeline.reopen(self.root, {})
                with self._lock:
                    self._run = known
            return known

    def knowing(self) -> Knowing:
        """What is known of all proposals; the first call reads them.

        Raises:
            As `run`, and `DatasetError` if no proposals are stored.
        """
        run = self.run()
        with self._building:
            with self._lock:
                known = self._knowing
            if known is None or known.run is not run:
                known = Knowing(run)
                with self._lock:
                    self._knowing = known
            return known

    def candidate(self, number: int) -> Viewed:
        """A candidate model, with its label maps.

        Raises:
            ConfigError: If there is no such candidate.
        """
        folders = CandidateFolder(self.root)
        found = folders.read(number)
        with self._lock:
            stamp, viewed = self._candidates.get(number, (None, None))
            if viewed is None or stamp != found:
                viewed = Viewed(folders.of(number))
                self._candidates[number] = (found, viewed)
            return viewed

    def change(self, work: Callable[[], Done]) -> Done:
        """Change names or corrections, and tell everybody.

        Args:
            work: Makes the change.

        Returns:
            The new state, and what was done, as a sentence.

        Raises:
            Refused: If somebody else was first, or a job exchanges the model meanwhile.
        """
        with self._editing:
            if self._exchanged_by is not None:
                raise Refused(
                    409,
                    f"Expected to change names, but the job {self._exchanged_by!r} exchanges the"
                    " model at present. Do it again when the job has ended.",
                    state=self.state(),
                )
            try:
                state, sentence = work()
            except Stale as error:
                raise Refused(409, printable(str(error)), state=self.state()) from error
            self._seen(int(state["revision"]))
            return state, sentence

    @contextlib.contextmanager
    def exchanging(self, kind: str) -> Iterator[None]:
        """While a job exchanges the model, nobody edits; then everything is looked at anew."""
        with self._editing:
            self._exchanged_by = kind
        try:
            yield
        finally:
            with self._editing:
                try:
                    _finish_exchange(self.root)  # of a job that was stopped or failed
                    self.renew()
                finally:
                    self._exchanged_by = None

    def renew(self) -> None:
        """Another model, or other label maps, may be in place: look at everything anew."""
        before = self.viewed
        self._start()
        if (self.model, self.viewed.images) != (before.model, before.images):
            self.tell("run", {"model": self.model})
        self._seen(self.editing.revision())

    def _catch_up(self) -> None:
        """Another command may have put a model in place, and label maps some time after it."""
        if str(clusters_of(NamedFolder(self.root)).model) != self.model:
            self.renew()
            return
        record = _state(self.root / "run.json")
        if record != self._record:  # written when a command begins, and when it has ended
            if Viewed(self.root).images != self.viewed.images:
                self.renew()
            self._record = record

    def refresh(self) -> None:
        """Files were changed from outside: tell what that means."""
        with self._editing:
            if self._exchanged_by is not None or CandidateFolder(self.root).plan.exists():
                return  # it is told when files are in place
            try:
                self._catch_up()
                self._seen(self.editing.revision())
                self.state()
            except PrimapsError as error:  # a file with a mistake
                self.tell("problem", {"error": printable(str(error))})

    def _seen(self, revision: int) -> None:
        if revision != self._revision:
            self._revision = revision
            self.tell("state", {"revision": revision})

    def outside(self) -> object:
        """What shows, cheaply, that names, corrections, model or candidates were changed."""
        files = [self.root / name for name in ("classes.yaml", "corrections.jsonl", "run.json")]
        folders = CandidateFolder(self.root)
        found = sorted(folders.folder.glob("*/candidate.json"))
        return [_state(path) for path in (*files, folders.plan, *found)]

    def stamp(self, paths: Sequence[Path | None], *further: object) -> str:
        """Another text when files have changed.

        Args:
            paths: Files that an answer is made from, as far as they are known.
            further: What else it depends on, JSON-ready.
        """
        states = [None if path is None else _state(path) for path in paths]
        return fingerprint([self.model, states, *further])


def _check_folder(root: Path) -> None:
    """Say what is wrong with a folder without label maps.

    Raises:
        CheckpointError: If it has none.
    """
    if (root / "model.json").exists() and not (root / "run.json").exists():
        run = root.parent if (root.parent / "run.json").exists() else None
        remedy = f"primaps studio {run}" if run else "primaps predict, with --out, then that folder"
        raise CheckpointError(
            f"Expected a folder with label maps, but {root} is that of a model. Use: {remedy}"
        )


def _finish_exchange(root: Path) -> None:
    """Put models in place whose exchange was killed.

    Raises:
        OutputError: If another command is at work in the folder, or files cannot be moved.
    """
    if CandidateFolder(root).plan.exists():
        hold(root)
        try:
            finish_pending(root)
        finally:
            release(root)


def _state(path: Path) -> tuple[str, int, int] | None:
    """Name, size and modification time; None if there is nothing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return path.name, status.st_size, status.st_mtime_ns
