"""What to try first: ``primaps demo``, ``list`` and ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from primaps.cli.exit_codes import EXIT_FAILED
from primaps.cli.given import given_settings, preset_settings
from primaps.cli.options import BackboneName, Device, Out, Overwrite, Weights
from primaps.cli.terminal import (
    TerminalProgress,
    exit_after,
    make_console,
    reported_errors,
    run_progress,
)
from primaps.errors import ConfigError


def demo(
    out: Out = Path("demo-run"),
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="K|auto",
            help="Number of classes to find, 2..254; auto: proposed from the views. (default: 12)",
        ),
    ] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Run the main job on views of six photographs that come with scikit-image and scikit-learn."""
    console = make_console()
    with reported_errors(console):
        given = given_settings(classes=classes)
        preset_settings(None, given)
        from primaps import pipeline
        from primaps.data.demo_views import NUM_CLASSES, views_folder, write_views
        from primaps.pipeline.beginning import Choice, begin

        folder = views_folder(out)
        images, about = write_views(folder)
        typer.echo(f"{about}\nViews: {folder}")
        choice = Choice(
            given, backbone=backbone, weights=weights, device=device, num_clusters=NUM_CLASSES
        )
        inputs = [str(path) for path in images]
        run = begin(inputs, out, choice, overwrite=overwrite, progress=run_progress(console))
        run.folder.record["about"] = about
        pipeline.segment(run, command="demo", inputs=[str(folder)])
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {(out / 'report.html').resolve()}")
        exit_after(run)


def list_names() -> None:
    """Backbones, data sets and presets."""
    from primaps.cli.inventory import inventory

    typer.echo(inventory())


def doctor(
    folder: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help="Run folder, --out of `primaps predict`, or a model; of shards also a URL.",
        ),
    ] = None,
    fix: Annotated[
        bool, typer.Option("--fix", help="Remove torn files of RUN that a command makes again.")
    ] = False,
    backbone: Annotated[
        str | None,
        typer.Option(
            "--backbone", help="Check the weights of this backbone; they are downloaded if needed."
        ),
    ] = None,
    weights: Weights = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write what was found of --backbone there.")
    ] = None,
) -> None:
    """Check this machine: versions, devices, disk, optional parts, and one small run. With RUN:
    check that every file in it is whole. With --backbone: check its weights: checksum, keys,
    shapes, and features of one photograph.
    """
    console = make_console()
    with reported_errors(console, resumable=False):
        if folder is not None and backbone is not None:
            raise ConfigError(
                "Expected RUN or --backbone, but got both. Check one after the other."
            )
        if fix and folder is None:
            raise ConfigError("Expected --fix with the folder RUN that it is for, but got none.")
        if backbone is None and (weights is not None or json_file is not None):
            raise ConfigError(
                "Expected --weights and --json with the --backbone that they are for, but got none."
            )
        sound, text = _examined(console, folder, backbone, weights, json_file, fix=fix)
        typer.echo(text)
        if not sound:
            raise typer.Exit(EXIT_FAILED)


def _examined(
    console: Console,
    folder: str | None,
    backbone: str | None,
    weights: Path | None,
    json_file: Path | None,
    *,
    fix: bool,
) -> tuple[bool, str]:
    """Whether all is well with what was asked for, and what to print."""
    if folder is not None:
        from primaps.pipeline.verifying import verify

        verdict = verify(folder, fix=fix, progress=TerminalProgress(console))
        return verdict.sound, verdict.text()
    if backbone is None:
        from primaps.pipeline.installation import examine

        return examine()
    from primaps.pipeline.verifying import verify_backbone
    from primaps.runs.store import write_json

    found = verify_backbone(backbone, weights)
    if json_file is not None:
        write_json(json_file, found.record())
    return found.sound, found.text()
