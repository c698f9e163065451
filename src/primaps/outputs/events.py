"""TensorBoard events of a fit, while it runs and when it is done.

Every file says that it starts anew, so that a TensorBoard which has read an earlier one of the
folder drops what it knew from it. The earlier one is emptied and stays for a while: a TensorBoard
that reads from a file which is gone gets stuck. Files from here end in `SUFFIX`; those of other
programs are never touched.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from primaps.errors import MissingExtraError, OutputError
from primaps.types import FitCurves, Image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FLUSH_SECONDS: Final = 5
EMPTY_SECONDS: Final = 600
"""So long an emptied file stays at least; a TensorBoard looks for news every few seconds."""
SUFFIX: Final = ".primaps"
"""Ends the names of the files that are written here."""
_EVENT_FILES: Final = f"events.out.tfevents.*{SUFFIX}"


def require_tensorboard() -> None:
    """Make sure, before any work starts, that events can be written.

    Raises:
        MissingExtraError: If the package tensorboard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError(
            "Expected the package tensorboard, which writes the events, but it is not installed."
            " Install it with: pip install 'primaps[tensorboard]'"
        )


def write_events(
    folder: Path, curves: FitCurves | None, pictures: Mapping[str, Image] | None = None
) -> None:
    """Write one file of events: ``loss``, ``usage/000``, ``usage/001``, ..., ``agreement``, and
    pictures.

    Steps are steps of the fit that are done; pictures stand at the last one. Earlier events from
    here in the folder are forgotten.

    Args:
        folder: Log directory.
        curves: What changed over the fit; None = not known.
        pictures: (H, W, 3) uint8 RGB by tag.

    Raises:
        MissingExtraError: If the package tensorboard is not installed.
        OutputError: If they cannot be written.
    """
    require_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written aside and moved: a killed process leaves the earlier events, never half of the new
        # ones.
        with tempfile.TemporaryDirectory(prefix=".events-", dir=folder) as temporary:
            with SummaryWriter(temporary, purge_step=0, filename_suffix=SUFFIX) as writer:
                if curves is not None:
                    _add_curves(writer, curves)
                for tag, picture in (pictures or {}).items():
                    writer.add_image(
                        tag, picture, 0 if curves is None else len(curves.losses), dataformats="HWC"
                    )
            earlier = list(folder.glob(_EVENT_FILES))
            for written in Path(temporary).glob(_EVENT_FILES):
                written.rename(folder / written.name)
            _forget(earlier)
    except OSError as error:
        raise OutputError(_problem(folder, error)) from error


class LiveEvents:
    """Events of a fit that is under way: ``loss`` step by step; ``usage/000``, ... and
    ``agreement`` where they were measured.

    They reach the file within `FLUSH_SECONDS`. `write_events` replaces them when the fit is done.

    Args:
        folder: Log directory; earlier events from here in it are forgotten.
        curves: What is known of the steps that were done before, if the fit goes on where it was.

    Raises:
        MissingExtraError: If the package tensorboard is not installed.
        OutputError: If they cannot be written.
    """

    def __init__(self, folder: Path, curves: FitCurves) -> None:
        require_tensorboard()
        from torch.utils.tensorboard import SummaryWriter

        self.folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            _forget(list(folder.glob(_EVENT_FILES)))
            self._writer = SummaryWriter(
                str(folder), purge_step=0, flush_secs=FLUSH_SECONDS, filename_suffix=SUFFIX
            )
            _add_curves(self._writer, curves)

    def add_loss(self, step: int, loss: float) -> None:
        """Loss of one step, counted from 1."""
        with self._writing():
            self._writer.add_scalar("loss", loss, step)

    def add_curves(self, curves: FitCurves) -> None:
        """Usage and agreement at further snapshots; it holds no losses."""
        with self._writing():
            _add_curves(self._writer, curves)

    def close(self) -> None:
        """Write what is left."""
        with self._writing():
            self._writer.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OutputError(_problem(self.folder, error)) from error


def _problem(folder: Path, error: OSError) -> str:
    return f"Expected to write events into {folder}, but got: {error}. Choose another folder."


def _forget(files: Iterable[Path]) -> None:
    for file in files:
        known = file.stat()
        if known.st_size:
            os.truncate(file, 0)
        elif time.time() - known.st_mtime > EMPTY_SECONDS:
            file.unlink()


def _add_curves(writer: SummaryWriter, curves: FitCurves) -> None:
    for step, loss in enumerate(curves.losses.tolist(), start=1):
        writer.add_scalar("loss", loss, step)
    for step, usage, agreement in zip(
        curves.steps.tolist(), curves.usage.tolist(), curves.agreement.tolist(), strict=True
    ):
        for cluster, share in enumerate(usage):
            writer.add_scalar(f"usage/{cluster:03d}", share, step)
        writer.add_scalar("agreement", agreement, step)
