"""``primaps export``: annotated data sets, and the model as one portable file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from primaps.cli.engine_options import engine_options
from primaps.cli.log_json import LogJson
from primaps.cli.options import DryRun, EngineName, MaxFailures, Moved, Workers
from primaps.cli.terminal import TerminalProgress, exit_with, make_console, reported_errors
from primaps.errors import ConfigError
from primaps.outputs.export.registry import FORMATS, PORTABLE

if TYPE_CHECKING:
    from primaps.engine.options import EngineOptions
    from primaps.pipeline.exporting import ExportSettings

_FORMATS: Final = ", ".join(FORMATS)

LabelMaps = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help=(
            "Run folder, or --out of `primaps predict`, with --shards also a URL (s3://...); for"
            f" {PORTABLE} the folder of a run or a model."
        ),
    ),
]
FormatName = Annotated[
    str,
    typer.Option(
        "--format", help=f"One of {_FORMATS}; or {PORTABLE}: no data set, but the model itself."
    ),
]
DataSet = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="DIR",
        help="A new folder, or an earlier export; also a URL (s3://...) but for onnx.",
    ),
]
Shares = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="SHARES",
        help=(
            "Shares of train, val and test, such as .8,.1,.1; images that come later move no other"
            " one. (default: one whole)"
        ),
    ),
]
SplitSeed = Annotated[int, typer.Option("--seed", help="Of the split.")]
SmallestRegion = Annotated[
    int, typer.Option("--min-area", min=0, help="Regions with fewer pixels become unlabelled.")
]
UnknownBelow = Annotated[
    float | None,
    typer.Option(
        "--unknown-below",
        min=0.0,
        max=1.0,
        help="Pixels with a lower certainty become unlabelled. (default: none)",
    ),
]
Link = Annotated[
    bool,
    typer.Option(
        "--link/--copy",
        help="Link photographs instead of copying them; turned ones are copied upright.",
    ),
]
Polygons = Annotated[bool, typer.Option("--polygons", help="Outlines instead of masks (coco).")]


def export(
    run: LabelMaps,
    format_name: FormatName,
    out: DataSet,
    split: Shares = None,
    seed: SplitSeed = 0,
    min_area: SmallestRegion = 0,
    unknown_below: UnknownBelow = None,
    link: Link = False,
    polygons: Polygons = False,
    images: Moved = None,
    engine: EngineName = None,
    workers: Workers = None,
    max_failures: MaxFailures = None,
    dry_run: DryRun = False,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
) -> None:
    """An annotated data set from label maps, for training and for annotation tools; resumable. Or
    the model as one portable file. Of label maps in shards, one data set per shard.
    """
    console = make_console()
    with reported_errors(console):
        if format_name == PORTABLE:
            given = {
                "--split": split is not None,
                "--seed": seed != 0,
                "--min-area": min_area != 0,
                "--unknown-below": unknown_below is not None,
                "--link": link,
                "--polygons": polygons,
                "--images": images is not None,
                "--engine": engine is not None,
                "--workers": workers is not None,
                "--max-failures": max_failures is not None,
                "--dry-run": dry_run,
            }
            _export_portable(run, out, [option for option, is_given in given.items() if is_given])
            return
        from primaps.engine.options import EngineOptions
        from primaps.outputs.export.splitting import parse_split
        from primaps.pipeline.exporting import ExportSettings
        from primaps.shards.places import is_url, place_of
        from primaps.shards.reading import is_sharded

        settings = ExportSettings(
            format=format_name,
            split=() if split is None else parse_split(split),
            seed=seed,
            min_area=min_area,
            unknown_below=unknown_below,
            link=link,
            polygons=polygons,
        )
        progress = TerminalProgress(console)
        options = engine_options(engine=engine, workers=workers, max_failures=max_failures)
        if is_url(run) or is_sharded(place_of(run)):
            _refuse_moved(images)
            if dry_run:
                from primaps.engine.dry_run import planned_export_shards

                typer.echo("\n".join(planned_export_shards(run, out, settings)))
            else:
                _export_shards(run, out, settings, options, progress)
            return
        if options != EngineOptions():
            raise ConfigError(
                "Expected --engine, --workers and --max-failures with label maps in shards (primaps"
                f" predict --shards), but {run} has the usual folders. Leave them away."
            )
        if dry_run:
            _tell(Path(run), out, settings)
            return
        if images is not None:
            from primaps.pipeline.photographs import find_again

            find_again(Path(run), images, progress)
        _export_folder(Path(run), out, settings, progress)


def _export_folder(
    run: Path, out: str, settings: ExportSettings, progress: TerminalProgress
) -> None:
    """One data set of a folder."""
    from primaps.engine.outcome import Outcome
    from primaps.outputs.export.journal import FAILURES
    from primaps.shards.places import is_url

    if is_url(out):
        from primaps.engine.exporting import export_to_store

        exported = export_to_store(run, out, settings, progress)
    else:
        from primaps.pipeline.exporting import export as export_labels

        exported = export_labels(run, Path(out), settings, progress=progress)
    typer.echo(f"{len(exported.images)} images in {out}")
    at = Outcome(out, False, exported.failures).at(FAILURES)
    exit_with(exported.failures, f" (all of them: {at})")


def _tell(run: Path, out: str, settings: ExportSettings) -> None:
    """What would be written of a folder."""
    from primaps.shards.places import is_url

    if is_url(out):
        from primaps.engine.exporting import planned_export_to_store as planned
    else:
        from primaps.pipeline.dry_run_of_export import planned_export as planned
    typer.echo("\n".join(planned(run, out, settings)))


def _refuse_moved(images: Path | None) -> None:
    """Keep an option from being given in vain.

    Raises:
        ConfigError: If photographs are said to have moved.
    """
    if images is not None:
        raise ConfigError(
            "Expected no --images with label maps in shards, which know where their photographs"
            " lie, but got it. Put the photographs back, or predict again."
        )


def _export_shards(
    run: str,
    out: str,
    settings: ExportSettings,
    options: EngineOptions,
    progress: TerminalProgress,
) -> None:
    """One data set per shard."""
    from primaps.engine.exporting import FAILURES, export_shards
    from primaps.engine.outcome import Outcome

    count, failures = export_shards(run, out, settings, options, progress)
    outcome = Outcome(out, True, failures)
    typer.echo(f"{count} images in {outcome.at('part-...')}")
    exit_with(failures, f" (all of them: {outcome.at(FAILURES)})")


def _export_portable(run: str, out: str, given: Sequence[str]) -> None:
    """The model.

    Raises:
        ConfigError: If options of data sets are given, or a URL.
    """
    from primaps.pipeline.portable import export_model
    from primaps.shards.places import is_url

    if given:
        raise ConfigError(
            f"Expected no {', '.join(given)} with --format {PORTABLE}, which writes no data set but"
            " the model. Leave them away."
        )
    for each in (run, out):
        if is_url(each):
            raise ConfigError(
                f"Expected folders on disk with --format {PORTABLE}, but got {each}. Copy the"
                " model's folder here, or the file there afterwards."
            )
    typer.echo(export_model(Path(run), Path(out), progress=TerminalProgress(make_console())))
