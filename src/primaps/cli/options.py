"""Options that several commands have, each stated once: its names, its type and its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from primaps.config import PRESET_NOTES
from primaps.features.registry import DEFAULT_BACKBONE

IMAGES_HELP: Final = "Files, folders (recursive) or glob patterns; URLs (s3://...) and .tar files."

Images = Annotated[
    list[str],
    typer.Argument(metavar="IMAGES", help="Files, folders (recursive) or glob patterns."),
]
Out = Annotated[Path, typer.Option("--out", help="Run folder; everything is written there.")]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="Run folder of an earlier command.")
]
FittedArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Run folder of an earlier command; with --out, folder or URL of `proposals --shards`.",
    ),
]
SampleOut = Annotated[
    Path | None,
    typer.Option("--out", help="Make a run folder there, of a sample of a sharded RUN."),
]
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample", metavar="N", help="Images of the sample, evenly chosen. (default: 5000, or all)"
    ),
]
SamplePhotographs = Annotated[
    bool,
    typer.Option(
        "--photographs",
        help="Copy the sample's photographs too if they are far or in tar files: for the studio.",
    ),
]
Classes = Annotated[
    str | None,
    typer.Option(
        "--classes",
        metavar="K|auto",
        help="Number of classes to find, 2..254; auto: proposed from the images. (default: 27)",
    ),
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
Levels = Annotated[
    str | None,
    typer.Option(
        "--levels",
        help=(
            "Levels of a convolutional or hierarchical backbone that are joined, by stride, with"
            " weights if wanted: 8:0.5,16,32; or last. (default: 8,16,32 as far as it has them)"
        ),
    ),
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
    str | None,
    typer.Option(
        "--preset",
        help=(
            "; ".join(f"{name}: {note}" for name, note in PRESET_NOTES.items())
            + ". (default: default)"
        ),
    ),
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
ValueRange = Annotated[
    str | None,
    typer.Option(
        "--range",
        metavar="auto|dtype|LOW,HIGH",
        help=(
            "Values of images deeper than 8 bits that become black and white; auto: measured on the"
            " images, once per folder; dtype: the whole range of their type. (default: auto)"
        ),
    ),
]
Bands = Annotated[
    str | None,
    typer.Option(
        "--bands",
        metavar="R,G,B",
        help=(
            "Numbers of the bands that are red, green and blue, from 1 on, or of one that is grey."
            " (default: the first three)"
        ),
    ),
]
WhichPages = Annotated[
    str | None,
    typer.Option(
        "--pages",
        metavar="first|all",
        help="Of files with several pages or frames, use the first or all. (default: first)",
    ),
]
MaxMegapixels = Annotated[
    int | None,
    typer.Option(
        "--max-megapixels", help="Refuse images that have to be decoded larger. (default: 179)"
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="full|light|none",
        help=(
            "What stays of the features when all is done. full: all views; light: the plain ones,"
            " enough for every fit but that of the preset paper; none: nothing, so that another fit"
            " begins with them. (default: as the folder was made, else full)"
        ),
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
    str | None,
    typer.Option(
        "--classes",
        metavar="K|auto",
        help="Number of classes, 2..254; auto: proposed from the images. (default: the run's)",
    ),
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
OutPlace = Annotated[
    str,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Run folder; everything is written there. With --shards also a URL (s3://...).",
    ),
]
AnyImages = Annotated[
    list[str],
    typer.Argument(metavar="IMAGES", help=IMAGES_HELP),
]
EngineName = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help=(
            "Who gives work to worker processes: this machine, or a Ray cluster (RAY_ADDRESS; none:"
            " Ray on this machine). (default: no workers, or local if an option needs them)"
        ),
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", help="Worker processes. (default with --engine: one per GPU, or per core)"
    ),
]
Shards = Annotated[
    str | None,
    typer.Option(
        "--shards",
        metavar="on|off|N",
        help=(
            "Outputs in files (shards) of N images each, with a manifest, instead of folders; on:"
            " 256. (default: on from 100000 images)"
        ),
    ),
]
ShardFormat = Annotated[
    str | None,
    typer.Option(
        "--shard-format",
        metavar="tar|parquet",
        help=(
            "What a shard is: a tar file, or a Parquet table with a row per image, which pandas,"
            " Ray Data and datasets read (extra hf). Given, it makes shards. (default: tar)"
        ),
    ),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(
        "--max-seconds",
        help="Time that one image may take; one that takes more is a failure. (default: any)",
    ),
]
MaxMemory = Annotated[
    float | None,
    typer.Option(
        "--max-memory",
        metavar="GB",
        help=(
            "Memory that one image may take in a worker; one that takes more is a failure."
            " (default: any)"
        ),
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Say what would be done, and what it takes of disk, memory and time."
    ),
]
MaxFailures = Annotated[
    str | None,
    typer.Option(
        "--max-failures",
        metavar="N|P%",
        help=(
            "End with exit code 1 once more inputs than that cannot be used: a number, or a share"
            " of all. (default: any number)"
        ),
    ),
]
Certainty = Annotated[
    bool,
    typer.Option(
        "--certainty", help="Also write how certain each pixel is: certainty/<path>.png, 0..255."
    ),
]
Overlays = Annotated[
    bool,
    typer.Option(
        "--overlays", help="Also paint the classes over the photographs: overlays/<path>.jpg."
    ),
]
UnknownBelow = Annotated[
    float | None,
    typer.Option(
        "--unknown-below",
        metavar="T",
        help="Pixels that are less certain, 0..1, become 255. (default: 0, none)",
    ),
]
Stored = Annotated[
    Path | None,
    typer.Option(
        "--stored",
        metavar="RUN",
        help="Instead of IMAGES: those of a run, whose features are not computed again.",
    ),
]
Moved = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="DIR",
        help="Where the photographs lie now, if they were moved or renamed: found by checksum.",
    ),
]
