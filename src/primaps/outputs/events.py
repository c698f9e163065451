"""TensorBoard events of a fit."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from primaps.errors import MissingExtraError, OutputError
from primaps.types import FitCurves, Image

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_EVENT_FILES = "events.out.tfevents.*"


def require_tensorboard() -> None:
    """Make sure, before any work starts, that events can be written.

    Raises:
        MissingExtraError: If the package tensorboard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError(
            "Expected the package tensorboard, which writes the events, but it is not installed. Install it with: "
            "pip install 'primaps[tensorboard]'"
        )


def write_events(folder: Path, curves: FitCurves | None, pictures: Mapping[str, Image] | None = None) -> None:
    """Write one file of events: ``loss``, ``usage/000``, ``usage/001``, ..., ``agreement``, and pictures.

    Steps are steps of the fit that are done; pictures stand at the last one. Earlier events in the folder are replaced.

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
        # Written aside and moved: a killed process leaves the earlier events, never half of the new ones.
        with tempfile.TemporaryDirectory(prefix=".events-", dir=folder) as temporary:
            with SummaryWriter(temporary) as writer:
                if curves is not None:
                    _add_curves(writer, curves)
                for tag, picture in (pictures or {}).items():
                    writer.add_image(tag, picture, 0 if curves is None else len(curves.losses), dataformats="HWC")
            for earlier in folder.glob(_EVENT_FILES):
                earlier.unlink()
            for written in Path(temporary).glob(_EVENT_FILES):
                written.rename(folder / written.name)
    except OSError as error:
        raise OutputError(f"Expected to write events into {folder}, but got: {error}. Choose another folder.") from error


def _add_curves(writer: SummaryWriter, curves: FitCurves) -> None:
    for step, loss in enumerate(curves.losses.tolist(), start=1):
        writer.add_scalar("loss", loss, step)
    for step, usage, agreement in zip(curves.steps.tolist(), curves.usage.tolist(), curves.agreement.tolist(), strict=True):
        for cluster, share in enumerate(usage):
            writer.add_scalar(f"usage/{cluster:03d}", share, step)
        writer.add_scalar("agreement", agreement, step)
