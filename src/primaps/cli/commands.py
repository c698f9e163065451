"""Argument parsing only: every command calls one function of the pipeline.

Heavy modules are imported inside the commands, so that ``primaps --help`` answers at once.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args

import typer

from primaps.cli.durations import Durations, durations_file
from primaps.cli.head_commands import Levels, hp_app, stego_app
from primaps.cli.naming import classes as name_classes
from primaps.cli.naming_commands import With, accept, fit_with, suggest
from primaps.cli.terminal import (
    EXIT_FAILED,
    EXIT_SOME_FAILED,
    TerminalProgress,
    exit_with,
    make_console,
    reported_errors,
)
from primaps.config import Config, Initialise, Method, did_you_mean, preset_config, with_settings
from primaps.errors import ConfigError
from primaps.features.registry import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from primaps.runs.run import Run
    from primaps.types import FeatureExtractor

app = typer.Typer(
    name="primaps",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Unsupervised semantic segmentation of any folder of photographs.\n\nExit codes: 0 all"
        " done; 1 nothing could be done; 2 usage or configuration error; 3 finished, but some"
        " inputs failed; 130 interrupted, resumable."
    ),
)

head_app = typer.Typer(
    no_args_is_help=True, help="Heads on top of a backbone (STEGO, HP), used with --head elsewhere."
)
head_app.add_typer(stego_app, name="stego")
head_app.add_typer(hp_app, name="hp")
app.add_typer(head_app, name="head")
app.command("classes")(name_classes)
app.command()(suggest)
app.command()(accept)

Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGES...", help="Files, folders (recursive) or glob patterns."),
]
Out = Annotated[Path, typer.Option("--out", help="Run folder; everything is written there.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder of an earlier command.")
]
Classes = Annotated[
    int | None, typer.Option("--classes", help="Number of classes to find, 2..254. (default: 27)")
]
BackboneName = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help=(
            f"Name of a backbone; `primaps list` shows them. (default: {DEFAULT_BACKBONE}, or the"
            " head's)"
        ),
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Weights file (.safetensors or .pth) instead of a download."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:1 or mps.")]
Head = Annotated[
    Path | None,
    typer.Option("--head", help="Folder of a head (STEGO, HP): classes are fitted to its codes."),
]
Heads = Annotated[
    list[Path] | None,
    typer.Option(
        "--head", help="Folder of a head (STEGO, HP). Several: one fit on each, mean over heads."
    ),
]
MovedHead = Annotated[
    Path | None, typer.Option("--head", help="Folder of the head, if it has moved.")
]
HeadDropout = Annotated[
    bool,
    typer.Option(
        "--head-dropout",
        help="The head drops channels in inference too, as in the official code with STEGO.",
    ),
]
PresetName = Annotated[
    str | None, typer.Option("--preset", help="default, paper or fast. (default: default)")
]
Size = Annotated[
    int | None,
    typer.Option("--size", help="Short side of the backbone's input in pixels. (default: 320)"),
]
Seed = Annotated[int | None, typer.Option("--seed", help="Of the fit. (default: 0)")]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method",
        help=(
            "em; clusters (k-means of the proposals alone); baseline (cosine k-means of pixels, as"
            " published). (default: em)"
        ),
    ),
]
Initial = Annotated[
    str | None,
    typer.Option(
        "--init",
        help=(
            "Where EM starts: proposals (k-means of them), pca (principal directions, then EM on"
            " pixels, as published), head (the cluster centres of --head). (default: by preset;"
            " baseline: pca)"
        ),
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        "--threshold",
        metavar="auto|T",
        help=(
            "Cosine similarity to the anchor; auto: the backbone's, or calibrated on the images if"
            " none is published. (default: auto)"
        ),
    ),
]
MinArea = Annotated[
    int | None,
    typer.Option(
        "--min-area", help="Drop proposals with fewer pixels, at working size. (default: 0)"
    ),
]
MaxMasks = Annotated[
    int | None,
    typer.Option("--max-masks", help="At most this many proposals per image. (default: no limit)"),
]
Crf = Annotated[
    bool | None,
    typer.Option(
        "--crf/--no-crf", help="Refine label maps with the dense CRF. (default: by preset)"
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels", help="Label maps and CRF work at up to so many pixels. (default: 1000000)"
    ),
]
Processes = Annotated[
    int,
    typer.Option(
        "--processes",
        help="Processes that share the work, on the CPU or on one GPU each; same result.",
    ),
]
RunClasses = Annotated[
    int | None, typer.Option("--classes", help="Number of classes, 2..254. (default: the run's)")
]
RunSeed = Annotated[int | None, typer.Option("--seed", help="Of the fit. (default: the run's)")]
RunMethod = Annotated[
    str | None,
    typer.Option("--method", help="em, clusters or baseline; see segment. (default: the run's)"),
]
RunInitial = Annotated[
    str | None,
    typer.Option(
        "--init", help="Where EM starts: proposals, pca or head; see segment. (default: the run's)"
    ),
]
RunCrf = Annotated[
    bool | None,
    typer.Option(
        "--crf/--no-crf",
        help="Refine label maps with the dense CRF. (default: as the model's run did)",
    ),
]
RunMaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        help="Label maps work at up to so many pixels. (default: as the model's run did)",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Redo what other settings made in --out.")
]

_SETTINGS: Final = {
    "classes": "num_clusters",
    "seed": "seed",
    "size": "features.size",
    "threshold": "proposals.threshold",
    "min_area": "proposals.min_area",
    "max_masks": "proposals.max_masks",
    "method": "fit.method",
    "init": "fit.initialise",
    "crf": "predict.crf",
    "max_pixels": "predict.max_pixels",
}
"""What the options set; one that is not given is left to the folder or the preset."""


def main() -> None:
    """Entry point of the ``primaps`` command."""
    # Waiting threads must not spin: beside any other process, two spinning threads are three times
    # slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import importlib.metadata

        typer.echo(importlib.metadata.version("primaps"))
        raise typer.Exit


@app.command()
def segment(
    images: Images,
    out: Out,
    classes: Classes = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    levels: Levels = None,
    head: Head = None,
    head_dropout: HeadDropout = False,
    device: Device = "auto",
    preset: PresetName = None,
    size: Size = None,
    seed: Seed = None,
    method: MethodName = None,
    init: Initial = None,
    threshold: Threshold = None,
    min_area: MinArea = None,
    max_masks: MaxMasks = None,
    crf: Crf = None,
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
) -> None:
    """Segment photographs: proposals, classes, label maps and a report. Run again to resume."""
    console = make_console()
    with reported_errors(console):
        given = _given(
            classes=classes,
            seed=seed,
            size=size,
            threshold=threshold,
            min_area=min_area,
            max_masks=max_masks,
            method=method,
            init=init,
            crf=crf,
            max_pixels=max_pixels,
        )
        config = _config(out, preset, given, backbone)
        from primaps import pipeline

        extractor = _extractor(
            out, backbone, weights, device, head, head_dropout=head_dropout, levels=levels
        )
        run = _open(images, out, extractor, config, overwrite, pipeline.ALL_STAGES)
        pipeline.segment(run, inputs=images)
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {out / 'report.html'}")
        _exit(run)


@app.command()
def proposals(
    images: Images,
    out: Annotated[
        Path | None, typer.Option("--out", help="Run folder; needed unless --steps is given.")
    ] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    levels: Levels = None,
    head: Head = None,
    head_dropout: HeadDropout = False,
    device: Device = "auto",
    preset: PresetName = None,
    size: Size = None,
    threshold: Threshold = None,
    min_area: MinArea = None,
    max_masks: MaxMasks = None,
    max_pixels: MaxPixels = None,
    overwrite: Overwrite = False,
    steps: Annotated[
        bool,
        typer.Option(
            "--steps",
            help="Only draw the iterative extraction, one picture per image. (--out: steps)",
        ),
    ] = False,
) -> None:
    """Mask proposals only: a 16-bit label image per photograph."""
    console = make_console()
    with reported_errors(console):
        given = _given(
            size=size,
            threshold=threshold,
            min_area=min_area,
            max_masks=max_masks,
            max_pixels=max_pixels,
        )
        folder = None if steps else out  # pictures are no run
        config = _config(folder, preset, given, backbone)
        extractor = _extractor(
            folder, backbone, weights, device, head, head_dropout=head_dropout, levels=levels
        )
        if steps:
            _draw_steps(images, Path("steps") if out is None else out, extractor, config)
            return
        if out is None:
            raise ConfigError(
                "Expected --out DIR, where the proposals go, but got none. Add it, or --steps for"
                " pictures only."
            )
        from primaps import pipeline

        run = _open(images, out, extractor, config, overwrite, pipeline.PROPOSAL_STAGES)
        pipeline.proposals(run, inputs=images)
        typer.echo(f"Proposals: {out / 'proposals'}")
        _exit(run)


@app.command()
def fit(
    run_folder: RunArgument,
    classes: RunClasses = None,
    seed: RunSeed = None,
    method: RunMethod = None,
    init: RunInitial = None,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder for the model. (default: RUN/model)")
    ] = None,
    tensorboard: Annotated[
        Path | None,
        typer.Option("--tensorboard", help="Write TensorBoard events of the fit there."),
    ] = None,
    processes: Processes = 1,
    with_: With = None,
    overwrite: Overwrite = False,
) -> None:
    """Fit prototypes to the proposals of an earlier `primaps proposals` or `primaps segment`."""
    console = make_console()
    with reported_errors(console):
        from primaps import pipeline

        if with_ is not None:
            others: dict[str, object] = {
                "classes": classes,
                "seed": seed,
                "method": method,
                "init": init,
            }
            others |= {"model": model, "tensorboard": tensorboard, "overwrite": overwrite}
            others |= {"processes": processes > 1}
            fit_with(run_folder, with_, others, weights=weights, head=head, device=device)
            return
        given = _given(classes=classes, seed=seed, method=method, init=init)
        changes = {name.removeprefix("fit."): value for name, value in given.items()}
        run = pipeline.reopen(
            run_folder,
            changes,
            weights=weights,
            head=head,
            device=device,
            progress=TerminalProgress(console),
        )
        pipeline.fit_again(run, model, overwrite=overwrite, events=tensorboard, processes=processes)
        typer.echo(f"Model: {model or run_folder / 'model'}")
        _exit(run)


@app.command()
def predict(
    images: Images,
    model: Annotated[Path, typer.Option("--model", help="Run folder or model folder.")],
    out: Out,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    crf: RunCrf = None,
    max_pixels: RunMaxPixels = None,
    overwrite: Overwrite = False,
) -> None:
    """Label maps of new photographs with fitted prototypes."""
    console = make_console()
    with reported_errors(console):
        from primaps.pipeline import predict_images
        from primaps.pipeline.settings import settings_for
        from primaps.segmenter import Segmenter

        segmenter = Segmenter.load(model, weights=weights, head=head, device=device)
        config = settings_for(
            out, segmenter.config, _given(crf=crf, max_pixels=max_pixels), TerminalProgress(console)
        )
        run = predict_images(
            images,
            out,
            segmenter.backbone,
            segmenter.model,
            config,
            overwrite=overwrite,
            progress=TerminalProgress(console),
            names=model,
        )
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {out / 'report.html'}")
        _exit(run)


@app.command()
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
) -> None:
    """Measure a fitted model on labelled images: Hungarian matching over the whole set, then
    accuracy and mean IoU.
    """
    console = make_console()
    with reported_errors(console):
        from primaps.data.dataset import load_dataset
        from primaps.outputs.scores import as_record, as_text
        from primaps.runs.store import write_json
        from primaps.segmenter import evaluate_saved

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


@app.command()
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


@app.command()
def report(
    run_folder: RunArgument,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
) -> None:
    """Write the report of a run again."""
    console = make_console()
    with reported_errors(console):
        from primaps import pipeline

        run = pipeline.reopen(
            run_folder,
            {},
            weights=weights,
            head=head,
            device=device,
            progress=TerminalProgress(console),
        )
        pipeline.report_again(run)
        typer.echo(f"Report: {run_folder / 'report.html'}")
        _exit(run)


@app.command()
def demo(
    out: Out = Path("demo-run"),
    classes: Annotated[
        int | None, typer.Option("--classes", help="Number of classes to find. (default: 12)")
    ] = None,
    backbone: BackboneName = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Run the main job on views of six photographs that come with scikit-image and scikit-learn."""
    console = make_console()
    with reported_errors(console):
        from primaps import pipeline
        from primaps.data.demo_views import NUM_CLASSES, views_folder, write_views

        folder = views_folder(out)
        images, about = write_views(folder)
        typer.echo(f"{about}\nViews: {folder}")
        config = _config(out, None, _given(classes=classes), backbone, num_clusters=NUM_CLASSES)
        inputs = [str(path) for path in images]
        run = _open(
            inputs,
            out,
            _extractor(out, backbone, None, device, None),
            config,
            overwrite,
            pipeline.ALL_STAGES,
        )
        run.folder.record["about"] = about
        pipeline.segment(run, command="demo", inputs=[str(folder)])
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {(out / 'report.html').resolve()}")
        _exit(run)


@app.command()
def benchmark(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="Finished rows, with --table.")
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
    preset: Annotated[
        str | None, typer.Option("--preset", help="default, paper or fast. (default: default)")
    ] = None,
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
        }
        given |= {
            "limit": limit,
            "clusters": clusters,
            "train_split": train_split,
            "split": split,
            "size": size,
        }
        given |= {"levels": levels}
        if table:
            others: dict[str, object] = {
                "row": row,
                "root": root,
                "store": store,
                "head": head or None,
                "head_dropout": head_dropout or None,
            }
            others |= {"weights": weights, **given, "tensorboard": tensorboard or None}
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
        _exit(run)


@app.command("list")
def list_names() -> None:
    """Backbones, data sets and presets."""
    from primaps.cli.installation import inventory

    typer.echo(inventory())


@app.command()
def doctor() -> None:
    """Check this machine: versions, devices, disk, optional parts, and one small run."""
    console = make_console()
    with reported_errors(console):
        from primaps.cli.installation import examine

        healthy, text = examine()
        typer.echo(text)
        if not healthy:
            raise typer.Exit(1)


@head_app.command("import")
def import_official(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Official checkpoint of STEGO, HP or PriMaPs.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="New folder for the head, or for the model of a PriMaPs checkpoint."
        ),
    ],
    kind: Annotated[str, typer.Option("--kind", help="auto, stego, hp or primaps.")] = "auto",
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="Name of its backbone. (default: told by shapes)"),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of the backbone, if FILE holds none.")
    ] = None,
    head: Annotated[
        Path | None, typer.Option("--head", help="Head that a PriMaPs checkpoint was fitted on.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a head, a model or weights in --out.")
    ] = False,
) -> None:
    """Convert an official checkpoint; no code in it is run."""
    console = make_console()
    with reported_errors(console):
        from primaps.pipeline.heads.head_import import import_checkpoint

        text = import_checkpoint(
            file, out, kind=kind, backbone=backbone, weights=weights, head=head, overwrite=overwrite
        )
        typer.echo(text)


def _given(**options: Any) -> dict[str, Any]:
    """The settings that were given, by their full names; options that were left out are None."""
    given = {_SETTINGS[option]: value for option, value in options.items() if value is not None}
    for name, option, known in (
        ("fit.method", "--method", get_args(Method)),
        ("fit.initialise", "--init", get_args(Initialise)),
    ):
        if given.get(name, known[0]) not in known:
            raise ConfigError(
                f"Expected {option} to be {', '.join(known[:-1])} or {known[-1]}, but got"
                f" {given[name]!r}.{did_you_mean(given[name], known)}"
            )
    if "proposals.threshold" in given:
        given["proposals.threshold"] = _threshold(given["proposals.threshold"])
    return given


def _threshold(text: str) -> float | None:
    """A number; None = auto."""
    if text == "auto":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(
            f"Expected --threshold to be auto, or a cosine similarity in (0, 1], but got {text!r}."
        ) from error


def _config(
    out: Path | None,
    preset: str | None,
    given: dict[str, Any],
    backbone: str | None,
    *,
    num_clusters: int = 27,
) -> Config:
    """The settings of a command that writes a run folder; without one, of pictures."""
    name = "default" if preset is None else preset
    # says what is wrong before heavy modules are loaded
    config = with_settings(preset_config(name), given)
    if out is None:
        return config
    from primaps.features.registry import DEFAULT_BACKBONE
    from primaps.pipeline.settings import preset_for, settings_for

    defaults = dataclasses.replace(
        preset_for(name, backbone or DEFAULT_BACKBONE), num_clusters=num_clusters
    )
    return settings_for(out, defaults, given, TerminalProgress(make_console()), preset=preset)


def _make_lists(dataset: str, root: Path, progress: TerminalProgress, workers: int) -> None:
    from primaps.data.curated import make_lists

    if dataset != "cocostuff":
        raise ConfigError(
            f"Expected --make-lists with the data set cocostuff, but got {dataset!r}. Leave the"
            " option out."
        )
    for path in make_lists(root, progress, workers):
        typer.echo(f"List: {path}")


def _extractor(
    out: Path | None,
    backbone: str | None,
    weights: Path | None,
    device: str,
    head: Path | None,
    *,
    head_dropout: bool = False,
    levels: str | None = None,
) -> FeatureExtractor:
    from primaps.heads.loading import backbone_name, load_backbone
    from primaps.pipeline.settings import backbone_for

    if out is None:
        name = backbone_name(backbone, head)
        return load_backbone(
            name,
            weights=weights,
            device=device,
            head=head,
            head_dropout=head_dropout,
            levels=levels,
        )
    options: dict[str, Any] = {
        "weights": weights,
        "head": head,
        "head_dropout": head_dropout,
        "levels": levels,
        "device": device,
    }
    return backbone_for(out, backbone, TerminalProgress(make_console()), **options)


def _open(
    images: list[str],
    out: Path,
    extractor: FeatureExtractor,
    config: Config,
    overwrite: bool,
    stages: tuple[str, ...],
) -> Run:
    from primaps.pipeline import open_run

    progress = TerminalProgress(make_console(), durations=Durations(durations_file()))
    return open_run(
        images, out, extractor, config, stages=stages, overwrite=overwrite, progress=progress
    )


def _draw_steps(images: list[str], out: Path, extractor: FeatureExtractor, config: Config) -> None:
    from primaps.pipeline.drawing_steps import draw_steps

    written, failures = draw_steps(
        images, out, extractor, config, progress=TerminalProgress(make_console())
    )
    typer.echo(f"Rounds of the extraction: {written[0] if len(written) == 1 else out}")
    exit_with(failures)


def _exit(run: Run) -> None:
    exit_with(run.failures, f"; see {run.folder.failures_file}")
