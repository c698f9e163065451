"""``primaps corrections``: what single proposals are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from primaps.cli.terminal import TerminalProgress, exit_with, make_console, reported_errors
from primaps.errors import ConfigError

CorrectedRun = Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, with proposals.")]
Mended = Annotated[
    Path | None,
    typer.Option(
        "--from-export",
        metavar="DIR",
        help=(
            "Read masks that were mended elsewhere: an export, or a folder or file of CVAT, Label"
            " Studio, COCO or label PNGs."
        ),
    ),
]
Added = Annotated[
    list[str] | None,
    typer.Option(
        "--add",
        metavar="IMAGE:PROPOSAL=CLASS",
        help="Say what a proposal is, by id or name of a class; 255 = unlabelled. Repeatable.",
    ),
]
TakenBack = Annotated[bool, typer.Option("--undo", help="Take the last correction back.")]


def corrections(
    run_folder: CorrectedRun, from_export: Mended = None, add: Added = None, undo: TakenBack = False
) -> None:
    """Show what is said of single proposals, or say it. What is given together is done in this
    order: undo, add, from-export.
    """
    console = make_console()
    with reported_errors(console):
        from primaps.pipeline.correcting import correct_from_masks, corrections_text
        from primaps.pipeline.named_labels import correct, undo_correction

        said = [_said(text) for text in add or []]
        if undo:
            undo_correction(run_folder)
        if said:
            correct(run_folder, said)
        found = None
        if from_export is not None:
            progress = TerminalProgress(console)
            found = correct_from_masks(run_folder, from_export, progress)
            typer.echo("\n".join(found.lines()))
        typer.echo(corrections_text(run_folder))
        exit_with(found.failures if found is not None else ())


def _said(text: str) -> tuple[str, int, str]:
    match = re.fullmatch(r"(.+):(\d+)=(.+)", text, re.DOTALL)
    if match is None:
        raise ConfigError(f"Expected something like --add street.jpg:7=road, but got {text!r}.")
    return match[1].strip(), int(match[2]), match[3].strip()
