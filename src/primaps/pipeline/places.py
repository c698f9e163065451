"""Where outputs may go: never among those of a run, of a model or of the photographs themselves."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from primaps.data.scanning import is_run_folder
from primaps.errors import ConfigError
from primaps.types import ImageFile

OWN: Final = frozenset(
    ("labels", "proposals", "store", "model", "snapshots", "certainty", "overlays")
) | {"classes-history"}
"""Folders of a run that it alone writes into."""


def refuse_place(out: Path) -> None:
    """Keep a run out of the outputs of another one, and out of the folder of a model.

    Args:
        out: The run folder; need not exist yet.

    Raises:
        ConfigError: If it lies in the outputs of a run, or holds a model and no run.
    """
    _refuse_outputs(out, "--out")
    if (out / "model.json").exists() and not (out / "run.json").exists():
        raise ConfigError(
            f"Expected --out to be the folder of a run or a new one, but {out} holds a model."
            " Choose another --out."
        )


def refuse_own_outputs(images: Iterable[ImageFile], out: Path) -> None:
    """Keep a run from taking its own outputs for photographs, which it would then remove.

    Raises:
        ConfigError: If an image lies where outputs go.
    """
    root = Path(os.path.realpath(out))
    for image in images:
        path = Path(os.path.realpath(image.path))
        if path.is_relative_to(root) and path.relative_to(root).parts[0] in OWN:
            raise ConfigError(
                f"Expected photographs, but {image.path} lies where outputs of {out} go, and would"
                " be removed or replaced. Choose another --out."
            )


def refuse_model_place(folder: Path, run: Path, images: Iterable[ImageFile]) -> None:
    """Keep a model that lies beside a run out of that run, of others, and of the photographs.

    Args:
        folder: Of the model; need not exist yet.
        run: Folder of the run that it is fitted to.
        images: Of the run.

    Raises:
        ConfigError: If the folder is a run, lies in the outputs of one, or holds photographs.
    """
    which = "the folder of the model (--model, in Python model_dir)"
    _refuse_outputs(folder, which)
    real = os.path.realpath(folder)
    if real == os.path.realpath(run) or is_run_folder(folder):
        raise ConfigError(
            f"Expected {which} to be another one than that of a run, but {folder} is a run. Leave"
            " it out to fit the run's own model, or choose another folder."
        )
    if any(os.path.realpath(image.path.parent) == real for image in images):
        raise ConfigError(
            f"Expected {which} to be another one than the photographs', but both are {folder}."
            " Choose another folder."
        )


def _refuse_outputs(folder: Path, which: str) -> None:
    real = Path(os.path.realpath(folder))
    for above in real.parents:
        inside = real.relative_to(above).parts[0]
        if inside in OWN and is_run_folder(above):
            raise ConfigError(
                f"Expected {which} to lie outside the outputs of a run, but {folder} lies in"
                f" {above / inside}. Choose another folder."
            )
