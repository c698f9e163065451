"""Heads on top of a backbone: ``primaps head stego fit``, ``head hp fit`` and ``head import``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from primaps.cli.help_pages import HelpGroup, with_examples
from primaps.cli.options import Device, Levels, Weights
from primaps.cli.terminal import TerminalProgress, exit_after, make_console, reported_errors
from primaps.errors import ConfigError
from primaps.features.registry import DEFAULT_BACKBONE

if TYPE_CHECKING:
    from primaps.heads.files import HeadKind
    from primaps.heads.settings import HPConfig, StegoConfig
    from primaps.types import FeatureExtractor

head_app = typer.Typer(
    no_args_is_help=True,
    cls=HelpGroup,
    help="Heads on top of a backbone (STEGO, HP), used with --head elsewhere.",
)
stego_app = typer.Typer(
    no_args_is_help=True, cls=HelpGroup, help="STEGO heads (Hamilton et al., ICLR 2022)."
)
hp_app = typer.Typer(
    no_args_is_help=True, cls=HelpGroup, help="HP heads (Seong et al., CVPR 2023)."
)
head_app.add_typer(stego_app, name="stego")
head_app.add_typer(hp_app, name="hp")

Out = Annotated[
    Path, typer.Option("--out", help="Folder for the head; used with --head elsewhere.")
]
Classes = Annotated[int, typer.Option("--classes", help="Number of cluster centres, 2..254.")]
Photographs = Annotated[
    list[str] | None,
    typer.Option(
        "--images", help="Files, folders or patterns to train on; may be given several times."
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="Train on a data set instead; its label files have to be there, but train nothing.",
    ),
]
Root = Annotated[Path | None, typer.Option("--root", help="Where the data set lies.")]
Split = Annotated[
    str | None, typer.Option("--split", help="Part of the data set, for example train.")
]
BackboneName = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help=f"Name of a backbone; `primaps list` shows them. (default: {DEFAULT_BACKBONE})",
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        "--preset",
        help="default, cityscapes, cocostuff or potsdam; for STEGO also cocostuff-vits8.",
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", help="Training steps. (default: by preset)")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.")]
Cache = Annotated[
    bool,
    typer.Option(
        "--cache/--no-cache", help="Keep features in --out, or compute them in every step."
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what other settings made in --out.")
]


def _fit_command(kind: HeadKind) -> Callable[..., None]:
    """``fit`` of one kind of head; the kinds differ in their settings only."""

    def fit(
        out: Out,
        images: Photographs = None,
        dataset: Dataset = None,
        root: Root = None,
        split: Split = None,
        classes: Classes = 27,
        backbone: BackboneName = None,
        weights: Weights = None,
        levels: Levels = None,
        device: Device = "auto",
        preset: Preset = "default",
        steps: Steps = None,
        seed: Seed = 0,
        cache: Cache = True,
        overwrite: Overwrite = False,
    ) -> None:
        with reported_errors(make_console()):
            config = _config(kind, preset, steps)
            inputs = _inputs(images, dataset, root, split)
            extractor = _extractor(out, backbone, weights, levels, device, seed)
            _fit(config, inputs, out, extractor, classes, seed, cache=cache, overwrite=overwrite)

    return fit


stego_app.command(
    "fit",
    help="Train a STEGO head without labels. Run again to resume.",
    **with_examples("head stego fit"),
)(_fit_command("stego"))
hp_app.command(
    "fit",
    help="Train an HP head without labels. Run again to resume.",
    **with_examples("head hp fit"),
)(_fit_command("hp"))


@head_app.command("import", **with_examples("head import"))
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


def _config(kind: HeadKind, preset: str, steps: int | None) -> StegoConfig | HPConfig:
    from primaps.heads.settings import hp_preset, stego_preset

    config: StegoConfig | HPConfig = stego_preset(preset) if kind == "stego" else hp_preset(preset)
    return config if steps is None else config.with_steps(steps)


def _inputs(
    images: list[str] | None, dataset: str | None, root: Path | None, split: str | None
) -> list[str]:
    """The photographs: given ones, or the image files of a data set."""
    if bool(images) == (dataset is not None):
        raise ConfigError(
            "Expected either --images or --dataset with --root, but got both or neither."
        )
    if images:
        if root is not None or split is not None:
            raise ConfigError(
                "Expected --root and --split with --dataset only. Give the photographs with"
                " --images alone."
            )
        return images
    if dataset is None or root is None or not root.is_dir():
        raise ConfigError(f"Expected --root to be the folder of the data set, but got {root}.")
    from primaps.data.dataset import load_dataset

    return [str(path) for path in load_dataset(dataset, root, split).image_paths]


def _extractor(
    out: Path,
    backbone: str | None,
    weights: Path | None,
    levels: str | None,
    device: str,
    seed: int,
) -> FeatureExtractor:
    from primaps.pipeline.settings import backbone_for

    if seed < 0:  # before anything is downloaded
        raise ConfigError(f"Expected --seed to be 0 or more, but got {seed}.")
    progress = TerminalProgress(make_console())
    return backbone_for(out, backbone, progress, weights=weights, levels=levels, device=device)


def _fit(
    config: StegoConfig | HPConfig,
    inputs: list[str],
    out: Path,
    extractor: FeatureExtractor,
    classes: int,
    seed: int,
    *,
    cache: bool,
    overwrite: bool,
) -> None:
    from primaps.pipeline.heads.head_fitting import HeadJob, fit_head

    job = HeadJob(inputs, out, extractor, config, classes, seed, cache)
    run = fit_head(job, overwrite=overwrite, progress=TerminalProgress(make_console()))
    typer.echo(f"Head: {out}")
    exit_after(run)
