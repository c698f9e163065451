"""The main job and its stages, one by one: ``primaps segment``, ``proposals``, ``fit``, ``predict``
and ``report``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from primaps.cli.config_file import ConfigFile
from primaps.cli.durations import Durations, durations_file
from primaps.cli.given import given_settings, preset_settings
from primaps.cli.naming_commands import With, fit_with
from primaps.cli.options import (
    BackboneName,
    Bands,
    Certainty,
    Classes,
    Crf,
    Device,
    DryRun,
    Head,
    HeadDropout,
    Images,
    Initial,
    Levels,
    MaxMasks,
    MaxMegapixels,
    MaxPixels,
    MethodName,
    MinArea,
    Moved,
    MovedHead,
    Out,
    Overlays,
    Overwrite,
    PresetName,
    Processes,
    RunArgument,
    RunClasses,
    RunCrf,
    RunInitial,
    RunMaxPixels,
    RunMethod,
    RunSeed,
    Seed,
    Size,
    Store,
    Stored,
    Threshold,
    UnknownBelow,
    ValueRange,
    Weights,
    WhichPages,
)
from primaps.cli.terminal import (
    TerminalProgress,
    exit_after,
    exit_with,
    make_console,
    reported_errors,
    run_progress,
)
from primaps.errors import ConfigError

if TYPE_CHECKING:
    from primaps.config import Config
    from primaps.pipeline.beginning import Choice
    from primaps.pipeline.labelling import Extras
    from primaps.runs.run import Run
    from primaps.segmenter import Segmenter

_BEGAN: Final = time.perf_counter()
"""When the program began: these modules come before what takes long to load."""


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
    value_range: ValueRange = None,
    bands: Bands = None,
    pages: WhichPages = None,
    max_megapixels: MaxMegapixels = None,
    store: Store = None,
    certainty: Certainty = False,
    overlays: Overlays = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Segment photographs: proposals, classes, label maps and a report. Run again to resume."""
    console = make_console()
    with reported_errors(console):
        given = given_settings(
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
            value_range=value_range,
            bands=bands,
            pages=pages,
            max_megapixels=max_megapixels,
            store=store,
        )
        preset_settings(preset, given)
        from primaps import pipeline
        from primaps.pipeline.beginning import Choice, begin
        from primaps.pipeline.labelling import Extras

        choice = Choice(given, preset, backbone, weights, levels, head, head_dropout, device)
        if dry_run:
            _tell(images, out, choice, pipeline.ALL_STAGES)
            return
        run = begin(images, out, choice, overwrite=overwrite, progress=run_progress(console))
        pipeline.segment(run, inputs=images, extras=Extras(certainty, overlays))
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {out / 'report.html'}")
        exit_after(run)


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
    value_range: ValueRange = None,
    bands: Bands = None,
    pages: WhichPages = None,
    max_megapixels: MaxMegapixels = None,
    store: Store = None,
    overwrite: Overwrite = False,
    steps: Annotated[
        bool,
        typer.Option(
            "--steps",
            help="Only draw the iterative extraction, one picture per image. (--out: steps)",
        ),
    ] = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Mask proposals only: a 16-bit label image per photograph."""
    console = make_console()
    with reported_errors(console):
        given = given_settings(
            size=size,
            threshold=threshold,
            min_area=min_area,
            max_masks=max_masks,
            max_pixels=max_pixels,
            value_range=value_range,
            bands=bands,
            pages=pages,
            max_megapixels=max_megapixels,
            store=store,
        )
        settings = preset_settings(preset, given)
        from primaps.pipeline.beginning import Choice

        choice = Choice(given, preset, backbone, weights, levels, head, head_dropout, device)
        if steps:
            _draw_steps(images, Path("steps") if out is None else out, choice, settings)
        elif dry_run and out is not None:
            _tell(images, out, choice, ("backbone", "features", "proposals"))
        else:
            _find_proposals(images, out, choice, overwrite=overwrite)


def _tell(images: list[str], out: Path, choice: Choice, stages: Sequence[str]) -> None:
    """What would be done."""
    from primaps.pipeline.beginning import look
    from primaps.pipeline.dry_run import planned

    run = look(images, out, choice, TerminalProgress(make_console()))
    typer.echo("\n".join(planned(run, stages, Durations(durations_file()).expected, _BEGAN)))
    exit_with(run.failures)


def _draw_steps(images: list[str], out: Path, choice: Choice, config: Config) -> None:
    from primaps.pipeline.drawing_steps import draw_steps

    progress = TerminalProgress(make_console())
    extractor = choice.extractor(None, progress)  # pictures are no run
    written, failures = draw_steps(images, out, extractor, config, progress=progress)
    typer.echo(f"Rounds of the extraction: {written[0] if len(written) == 1 else out}")
    exit_with(failures)


def _find_proposals(
    images: list[str], out: Path | None, choice: Choice, *, overwrite: bool
) -> None:
    if out is None:
        raise ConfigError(
            "Expected --out DIR, where the proposals go, but got none. Add it, or --steps for"
            " pictures only."
        )
    from primaps import pipeline
    from primaps.pipeline.beginning import begin

    run = begin(
        images,
        out,
        choice,
        stages=pipeline.PROPOSAL_STAGES,
        overwrite=overwrite,
        progress=run_progress(make_console()),
    )
    pipeline.proposals(run, inputs=images)
    typer.echo(f"Proposals: {out / 'proposals'}")
    exit_after(run)


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
    dry_run: DryRun = False,
    config: ConfigFile = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Fit prototypes to the proposals of an earlier `primaps proposals` or `primaps segment`."""
    console = make_console()
    with reported_errors(console):
        if with_ is not None:
            others: dict[str, object] = {"classes": classes, "seed": seed, "method": method}
            others |= {"init": init, "model": model, "tensorboard": tensorboard}
            others |= {"processes": processes > 1, "overwrite": overwrite, "dry-run": dry_run}
            fit_with(run_folder, with_, others, weights=weights, head=head, device=device)
            return
        from primaps import pipeline

        given = given_settings(classes=classes, seed=seed, method=method, init=init)
        changes = {name.removeprefix("fit."): value for name, value in given.items()}
        run = pipeline.reopen(
            run_folder,
            changes,
            weights=weights,
            head=head,
            device=device,
            progress=TerminalProgress(console),
        )
        if dry_run:
            from primaps.pipeline.dry_run_of_fit import planned_fit

            typer.echo("\n".join(planned_fit(run, model, _BEGAN)))
            return
        pipeline.fit_again(run, model, overwrite=overwrite, events=tensorboard, processes=processes)
        typer.echo(f"Model: {model or run_folder / 'model'}")
        exit_after(run)


def predict(
    model: Annotated[Path, typer.Option("--model", help="Run folder or model folder.")],
    out: Out,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGES", help="Files, folders (recursive) or glob patterns."),
    ] = None,
    stored: Stored = None,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    crf: RunCrf = None,
    max_pixels: RunMaxPixels = None,
    value_range: ValueRange = None,
    bands: Bands = None,
    pages: WhichPages = None,
    max_megapixels: MaxMegapixels = None,
    unknown_below: UnknownBelow = None,
    certainty: Certainty = False,
    overlays: Overlays = False,
    overwrite: Overwrite = False,
    dry_run: DryRun = False,
    config: ConfigFile = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Label maps and a report of new photographs with fitted prototypes, or of a run's with another
    model.
    """
    console = make_console()
    with reported_errors(console):
        if bool(images) == (stored is not None):
            raise ConfigError(
                "Expected IMAGES, or --stored RUN instead of them, but got"
                f" {'both' if images else 'neither'}."
            )
        given = given_settings(
            crf=crf,
            max_pixels=max_pixels,
            unknown_below=unknown_below,
            value_range=value_range,
            bands=bands,
            pages=pages,
            max_megapixels=max_megapixels,
        )
        from primaps import pipeline
        from primaps.pipeline.labelling import Extras
        from primaps.pipeline.settings import settings_for
        from primaps.segmenter import Segmenter

        extras, progress = Extras(certainty, overlays), TerminalProgress(console)
        if stored is not None:
            source = pipeline.reopen(
                stored, {}, weights=weights, head=head, device=device, progress=progress
            )
            if dry_run:
                _tell_of_stored(source, out, model, given, extras)
                return
            run = pipeline.predict_from_store(
                source, out, model, given, overwrite=overwrite, extras=extras
            )
        else:
            segmenter = Segmenter.load(model, weights=weights, head=head, device=device)
            if dry_run:
                settings = settings_for(out, segmenter.config, given, progress)
                _tell_of_new(images or [], out, segmenter, settings, extras)
                return
            run = pipeline.predict_images(
                images or [],
                out,
                segmenter.backbone,
                segmenter.model,
                settings_for(out, segmenter.config, given, progress),
                overwrite=overwrite,
                progress=progress,
                names=model,
                extras=extras,
            )
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {out / 'report.html'}")
        exit_after(run)


def _tell_of_stored(
    source: Run, out: Path, model_folder: Path, given: Mapping[str, object], extras: Extras
) -> None:
    """What `primaps predict --stored` would do."""
    from primaps.pipeline.dry_run_of_predict import planned_predict
    from primaps.pipeline.predicting import refuse_run, run_on_store
    from primaps.runs.model import Model

    model = Model.load(model_folder)
    run = run_on_store(source, out, model, given)
    refuse_run(out, model)
    typer.echo("\n".join(planned_predict(run, model, _BEGAN, extras, source)))


def _tell_of_new(
    images: Sequence[str], out: Path, segmenter: Segmenter, settings: Config, extras: Extras
) -> None:
    """What `primaps predict` would do."""
    from primaps.pipeline.dry_run_of_predict import planned_predict
    from primaps.pipeline.opening import find_images
    from primaps.pipeline.predicting import refuse_run

    refuse_run(out, segmenter.model)
    progress = TerminalProgress(make_console())
    run = find_images(images, out, segmenter.backbone, settings, progress=progress)
    typer.echo("\n".join(planned_predict(run, segmenter.model, _BEGAN, extras)))
    exit_with(run.failures)


def report(
    run_folder: RunArgument,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    images: Moved = None,
) -> None:
    """Write the report of a run again."""
    console = make_console()
    with reported_errors(console):
        from primaps import pipeline
        from primaps.pipeline.photographs import find_again

        progress = TerminalProgress(console)
        if images is not None:
            find_again(run_folder, images, progress)
        run = pipeline.reopen(
            run_folder, {}, weights=weights, head=head, device=device, progress=progress
        )
        pipeline.report_again(run)
        typer.echo(f"Report: {run_folder / 'report.html'}")
        exit_after(run)
