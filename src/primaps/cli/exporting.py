"""``primaps export``: annotated data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from primaps.cli.terminal import TerminalProgress, exit_with, make_console, reported_errors
from primaps.outputs.export.registry import FORMATS

_FORMATS: Final = ", ".join(FORMATS)

LabelMaps = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder, or --out of `primaps predict`.")
]
FormatName = Annotated[str, typer.Option("--format", help=f"One of {_FORMATS}.")]
DataSet = Annotated[
    Path, typer.Option("--out", help="Folder of the data set: new, or an earlier export.")
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
) -> None:
    """An annotated data set from label maps, for training and for annotation tools. Resumable."""
    console = make_console()
    with reported_errors(console):
        from primaps.outputs.export.journal import FAILURES
        from primaps.outputs.export.splitting import parse_split
        from primaps.pipeline.exporting import ExportSettings
        from primaps.pipeline.exporting import export as export_labels

        settings = ExportSettings(
            format=format_name,
            split=() if split is None else parse_split(split),
            seed=seed,
            min_area=min_area,
            unknown_below=unknown_below,
            link=link,
            polygons=polygons,
        )
        exported = export_labels(run, out, settings, progress=TerminalProgress(console))
        typer.echo(f"{len(exported.images)} images in {out}")
        exit_with(exported.failures, f" (all of them: {out / FAILURES})")
