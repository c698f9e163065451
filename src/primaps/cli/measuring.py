"""Measuring on labelled images: ``primaps evaluate``, ``benchmark`` and ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from primaps.cli.exit_codes import EXIT_FAILED, EXIT_SOME_FAILED
from primaps.cli.log_json import LogJson
from primaps.cli.options import (
    Device,
    HeadDropout,
    Heads,
    Levels,
    MovedHead,
    Overwrite,
    PresetName,
    Processes,
    Weights,
)
from primaps.cli.terminal import (
    TerminalProgress,
    exit_after,
    make_console,
    reported_errors,
)
from primaps.errors import ConfigError


def evaluate(
    model: Annotated[Path, typer.Option("--model", help="Run folder or model folder.")],
    dataset: Annotated[
        str, typer.Option("--dataset", help="Name of a data set; `primaps list` shows them.")
    ],
    root: Annotated[Path, typer.Option("--root", help="Where the data set lies.")],
    split: Annotated[
        str | None, typer.Option("--split", help="Part of the data set, for example val.")
    ] = None,
    crf: Annotated[
        bool, typer.Option("--crf", help="Refine label maps with the dense CRF.")
    ] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirrored image.")] = False,
    by_name: Annotated[
        bool,
        typer.Option(
            "--by-name",
            help="Score classes by their names in classes.yaml, without Hungarian matching.",
        ),
    ] = False,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    processes: Processes = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the scores there.")
    ] = None,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Measure a fitted model on labelled images: Hungarian matching over the whole set, then
    accuracy and mean IoU.
    """
    console = make_console()
    with reported_errors(console, resumable=False):
        from primaps.data.dataset import load_dataset
        from primaps.outputs.scores import as_record, as_text
        from primaps.runs.store import write_json
        from primaps.scoring import evaluate_saved

        if not root.is_dir():
            raise ConfigError(
                f"Expected --root to be the folder of the data set, but {root} is no folder."
            )
        labelled, progress = load_dataset(dataset, root, split), TerminalProgress(console)
        result = evaluate_saved(
            model,
            labelled,
            crf=crf,
            flip=flip,
            by_name=by_name,
            weights=weights,
            head=head,
            device=device,
            processes=processes,
            progress=progress,
        )
        typer.echo(as_text(result))
        if json_file is not None:
            write_json(json_file, as_record(result))


def benchmark(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Finished rows, with --table.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Join finished rows into the paper's table.")
    ] = False,
    row: Annotated[
        str | None, typer.Option("--row", help="A row of the paper; `primaps list` shows them.")
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Name of a data set.")] = None,
    root: Annotated[Path | None, typer.Option("--root", help="Where the data set lies.")] = None,
    backbone: Annotated[str | None, typer.Option("--backbone", help="Name of a backbone.")] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="em, clusters, baseline, head (no fit). (default: em)"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the row. (default: benchmark-<row>)")
    ] = None,
    preset: PresetName = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", help="Fits, with seeds 0, 1, ... (default: 1)")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option("--select", help="last, agreement, oracle (sees labels). (default: last)"),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", help="At most so many images of each split, for a trial."),
    ] = None,
    clusters: Annotated[
        int | None, typer.Option("--clusters", help="Overclustering. (default: one per class)")
    ] = None,
    train_split: Annotated[
        str | None,
        typer.Option("--train-split", help="Fitted to, without labels. (default: train)"),
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Measured. (default: val)")] = None,
    size: Annotated[
        int | None,
        typer.Option("--size", help="Side of the centre crop. (default: 320; 322 for patch 14)"),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="For features; rows can share it. (default: in --out)"),
    ] = None,
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Also write TensorBoard events into OUT/tensorboard."),
    ] = False,
    head: Heads = None,
    head_dropout: HeadDropout = False,
    weights: Weights = None,
    levels: Levels = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Measure a row of the paper's table on a labelled data set, or join rows: --table DIR... See
    docs/benchmark.md.
    """
    console = make_console()
    with reported_errors(console):
        from primaps.protocol.command import Places, choose_row, join, measure

        given = {
            "dataset": dataset,
            "backbone": backbone,
            "method": method,
            "preset": preset,
            "seeds": seeds,
            "select": select,
            "limit": limit,
            "clusters": clusters,
            "train_split": train_split,
            "split": split,
            "size": size,
            "levels": levels,
        }
        if table:
            others = {
                "row": row,
                "root": root,
                "store": store,
                "head": head or None,
                "head_dropout": head_dropout or None,
                "weights": weights,
                **given,
                "tensorboard": tensorboard or None,
            }
            typer.echo(join(folders or [], out, others))
            return
        if folders:
            raise ConfigError(
                f"Expected folders after --table only, but got {folders[0]}. The data set's folder"
                " is --root."
            )
        heads = tuple(head or ())
        places = Places(
            root, out, store, weights, heads, device, events=tensorboard, head_dropout=head_dropout
        )
        text, run = measure(
            choose_row(row, given, heads),
            places,
            overwrite=overwrite,
            progress=TerminalProgress(console),
        )
        typer.echo(text)
        exit_after(run)


def check(
    dataset: Annotated[
        str,
        typer.Argument(metavar="DATASET", help="Name of a data set; `primaps list` shows them."),
    ],
    root: Annotated[Path, typer.Option("--root", help="Where the data set lies, or should lie.")],
    split: Annotated[
        str | None, typer.Option("--split", help="Only this part, for example val. (default: all)")
    ] = None,
    make_lists: Annotated[
        bool,
        typer.Option(
            "--make-lists", help="cocostuff: make missing curated lists from the label images."
        ),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the findings there.")
    ] = None,
) -> None:
    """Is a data set complete and readable? What is missing, and where is it to be had? Also counts
    the pixels per class.
    """
    console = make_console()
    with reported_errors(console):
        from primaps.compute.cores import usable_cores
        from primaps.data.check_report import as_record, as_text
        from primaps.data.checking import check_dataset
        from primaps.runs.store import write_json

        progress, workers = TerminalProgress(console), usable_cores()
        if make_lists:
            _make_lists(dataset, root, progress, workers)
        found = check_dataset(dataset, root, split, progress, workers)
        typer.echo(as_text(found))
        if json_file is not None:
            write_json(json_file, as_record(found))
        if not found.complete:
            raise typer.Exit(EXIT_SOME_FAILED if found.usable else EXIT_FAILED)


def _make_lists(dataset: str, root: Path, progress: TerminalProgress, workers: int) -> None:
    from primaps.data.curated import make_lists

    if dataset != "cocostuff":
        raise ConfigError(
            f"Expected --make-lists with the data set cocostuff, but got {dataset!r}. Leave the"
            " option out."
        )
    for path in make_lists(root, progress, workers):
        typer.echo(f"List: {path}")
