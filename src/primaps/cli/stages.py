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
from primaps.cli.engine_options import engine_options
from primaps.cli.given import given_settings, preset_settings
from primaps.cli.log_json import LogJson
from primaps.cli.naming_commands import With, fit_with
from primaps.cli.options import (
    IMAGES_HELP,
    AnyImages,
    BackboneName,
    Bands,
    Certainty,
    Classes,
    Crf,
    Device,
    DryRun,
    EngineName,
    FittedArgument,
    Head,
    HeadDropout,
    Images,
    Initial,
    Levels,
    MaxFailures,
    MaxMasks,
    MaxMegapixels,
    MaxMemory,
    MaxPixels,
    MaxSeconds,
    MethodName,
    MinArea,
    Moved,
    MovedHead,
    Out,
    OutPlace,
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
    Sample,
    SampleOut,
    SamplePhotographs,
    Seed,
    ShardFormat,
    Shards,
    Size,
    Store,
    Stored,
    Threshold,
    UnknownBelow,
    ValueRange,
    Weights,
    WhichPages,
    Workers,
)
from primaps.cli.terminal import (
    TerminalProgress,
    exit_after,
    exit_with,
    make_console,
    reported_errors,
    run_progress,
)
from primaps.config import FailureLimit
from primaps.engine.options import EngineOptions
from primaps.engine.outcome import Outcome
from primaps.errors import ConfigError

if TYPE_CHECKING:
    from primaps.config import Config
    from primaps.engine.commands import Request
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
    max_failures: MaxFailures = None,
    dry_run: DryRun = False,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
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
        limit = FailureLimit.parse(max_failures)
        from primaps import pipeline
        from primaps.pipeline.beginning import Choice, begin
        from primaps.pipeline.labelling import Extras

        choice = Choice(given, preset, backbone, weights, levels, head, head_dropout, device)
        if dry_run:
            _tell(images, out, choice, pipeline.ALL_STAGES)
            return
        run = begin(
            images,
            out,
            choice,
            overwrite=overwrite,
            progress=run_progress(console),
            max_failures=limit,
        )
        pipeline.segment(run, inputs=images, extras=Extras(certainty, overlays))
        typer.echo(f"Label maps: {out / 'labels'}")
        typer.echo(f"Report:     {out / 'report.html'}")
        exit_after(run)


def proposals(
    images: AnyImages,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help=(
                "Run folder; needed unless --steps is given. With --shards also a URL (s3://...)."
            ),
        ),
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
    engine: EngineName = None,
    workers: Workers = None,
    shards: Shards = None,
    shard_format: ShardFormat = None,
    max_failures: MaxFailures = None,
    max_seconds: MaxSeconds = None,
    max_memory: MaxMemory = None,
    steps: Annotated[
        bool,
        typer.Option(
            "--steps",
            help="Only draw the iterative extraction, one picture per image. (--out: steps)",
        ),
    ] = False,
    dry_run: DryRun = False,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
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
        options = engine_options(
            engine=engine,
            workers=workers,
            shards=shards,
            shard_format=shard_format,
            max_failures=max_failures,
            max_seconds=max_seconds,
            max_memory=max_memory,
        )
        from primaps.pipeline.beginning import Choice

        choice = Choice(given, preset, backbone, weights, levels, head, head_dropout, device)
        if steps:
            _draw_steps(images, Path("steps" if out is None else out), choice, settings)
        elif dry_run and out is not None:
            _tell_of_proposals(images, out, choice, options)
        else:
            _find_proposals(images, out, choice, options, overwrite=overwrite)


def _tell_of_proposals(images: list[str], out: str, choice: Choice, options: EngineOptions) -> None:
    """What `primaps proposals` would do."""
    from primaps.engine import commands

    progress = TerminalProgress(make_console())
    request = commands.Request(images, out, options, choice.device, False, progress)
    if request.is_ordinary:
        _tell(images, Path(out), choice, ("backbone", "features", "proposals"))
        return
    from primaps.engine.dry_run import planned_proposals

    typer.echo("\n".join(planned_proposals(request, choice, _BEGAN)))


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
    images: list[str], out: str | None, choice: Choice, options: EngineOptions, *, overwrite: bool
) -> None:
    if out is None:
        raise ConfigError(
            "Expected --out DIR, where the proposals go, but got none. Add it, or --steps for"
            " pictures only."
        )
    from primaps.engine import commands

    request = commands.Request(
        images, out, options, choice.device, overwrite, run_progress(make_console())
    )
    outcome = commands.proposals(request, choice)
    typer.echo(f"Proposals: {outcome.at('shards' if outcome.sharded else 'proposals')}")
    exit_with(outcome.failures, f"; see {outcome.at('failures.jsonl')}")


def fit(
    run_folder: FittedArgument,
    out: SampleOut = None,
    sample: Sample = None,
    photographs: SamplePhotographs = False,
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
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
    config: ConfigFile = None,  # noqa: ARG001 - read by its callback
) -> None:
    """Fit prototypes to the proposals of an earlier `primaps proposals` or `primaps segment`."""
    console = make_console()
    with reported_errors(console):
        if with_ is not None:
            others: dict[str, object] = {"classes": classes, "seed": seed, "method": method}
            others |= {"init": init, "model": model, "tensorboard": tensorboard}
            others |= {"processes": processes > 1, "overwrite": overwrite, "dry-run": dry_run}
            others |= {"out": out, "sample": sample, "photographs": photographs}
            fit_with(Path(run_folder), with_, others, weights=weights, head=head, device=device)
            return
        given = given_settings(classes=classes, seed=seed, method=method, init=init)
        processes = _processes_of(processes)
        if dry_run and out is not None:
            raise ConfigError(
                "Expected --dry-run without --out, since a sample tells what a fit takes once it is"
                " fetched. Fit a small one (--sample 10), or leave --dry-run out."
            )
        from primaps import pipeline

        progress = TerminalProgress(console)
        folder = _folder_to_fit(
            run_folder, out, sample, progress, photographs=photographs, overwrite=overwrite
        )
        changes = {name.removeprefix("fit."): value for name, value in given.items()}
        run = pipeline.reopen(
            folder, changes, weights=weights, head=head, device=device, progress=progress
        )
        if dry_run:
            from primaps.pipeline.dry_run_of_fit import planned_fit

            typer.echo("\n".join(planned_fit(run, model, _BEGAN)))
            return
        pipeline.fit_again(run, model, overwrite=overwrite, events=tensorboard, processes=processes)
        typer.echo(f"Model: {model or folder / 'model'}")
        exit_after(run)


def _processes_of(given: int) -> int:
    """How many processes: as ``--processes`` says, or as many as torchrun has started, of which the
    first goes on here and the others end well.
    """
    from primaps.compute.processes import asked_by_torchrun

    asked = asked_by_torchrun()
    if asked is None:
        return given
    rank, count = asked
    if given not in {1, count}:
        raise ConfigError(
            f"Expected --processes {count}, as many as torchrun has started, but got {given}. Leave"
            " it out."
        )
    if rank > 0:
        raise typer.Exit
    return count


def _folder_to_fit(
    given: str,
    out: Path | None,
    sample: int | None,
    progress: TerminalProgress,
    *,
    photographs: bool,
    overwrite: bool,
) -> Path:
    """The run folder that is fitted to: the one given, or one made of a sample of what is."""
    from primaps.pipeline.sampled_store import sample_store
    from primaps.shards.places import is_url, place_of
    from primaps.shards.reading import is_sharded

    if out is not None:
        sample_store(
            given, out, sample, photographs=photographs, overwrite=overwrite, progress=progress
        )
        return out
    if sample is not None or photographs or is_url(given) or is_sharded(place_of(given)):
        raise ConfigError(
            "Expected --out RUN beside the outputs of `primaps proposals ... --shards`, a run"
            " folder for a sample of their images, but got none. Add it."
        )
    return Path(given)


def predict(
    model: Annotated[Path, typer.Option("--model", help="Run folder or model folder.")],
    out: OutPlace,
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="IMAGES", help=IMAGES_HELP),
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
    engine: EngineName = None,
    workers: Workers = None,
    shards: Shards = None,
    shard_format: ShardFormat = None,
    max_failures: MaxFailures = None,
    max_seconds: MaxSeconds = None,
    max_memory: MaxMemory = None,
    dry_run: DryRun = False,
    log_json: LogJson = None,  # noqa: ARG001 - read by its callback
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
        options = engine_options(
            engine=engine,
            workers=workers,
            shards=shards,
            shard_format=shard_format,
            max_failures=max_failures,
            max_seconds=max_seconds,
            max_memory=max_memory,
        )
        from primaps.pipeline.labelling import Extras

        extras, progress = Extras(certainty, overlays), TerminalProgress(console)
        if stored is not None:
            _refuse_engine(options)
            from primaps import pipeline

            source = pipeline.reopen(
                stored, {}, weights=weights, head=head, device=device, progress=progress
            )
            if dry_run:
                _tell_of_stored(source, Path(out), model, given, extras)
            else:
                _predict_stored(source, out, model, given, extras, options, overwrite=overwrite)
            return
        from primaps.engine import commands
        from primaps.segmenter import Segmenter

        segmenter = Segmenter.load(model, weights=weights, head=head, device=device)
        request = commands.Request(images or [], out, options, device, overwrite, progress)
        if dry_run:
            _tell_of_new(request, segmenter, given, extras)
            return
        fitted = (segmenter.backbone, segmenter.model, model, segmenter.config)
        _told_labels(commands.predict(request, *fitted, given, extras))


def _predict_stored(
    source: Run,
    out: str,
    model: Path,
    given: Mapping[str, object],
    extras: Extras,
    options: EngineOptions,
    *,
    overwrite: bool,
) -> None:
    """Label maps of a run's photographs with another model."""
    from primaps import pipeline

    run = pipeline.predict_from_store(
        source,
        Path(out),
        model,
        given,
        overwrite=overwrite,
        extras=extras,
        max_failures=options.max_failures,
    )
    _told_labels(Outcome(out, False, tuple(run.failures)))


def _told_labels(outcome: Outcome) -> None:
    typer.echo(f"Label maps: {outcome.at('shards' if outcome.sharded else 'labels')}")
    if not outcome.sharded:
        typer.echo(f"Report:     {outcome.at('report.html')}")
    exit_with(outcome.failures, f"; see {outcome.at('failures.jsonl')}")


def _refuse_engine(options: EngineOptions) -> None:
    """Keep options from being given in vain.

    Raises:
        ConfigError: If there are any.
    """
    if options.wanted or options.shards is not None or options.shard_format is not None:
        raise ConfigError(
            "Expected no --engine, --workers, --shards, --shard-format, --max-seconds or"
            " --max-memory with --stored, whose features are not computed again, but got some."
            " Leave them away."
        )


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
    request: Request, segmenter: Segmenter, given: Mapping[str, object], extras: Extras
) -> None:
    """What `primaps predict` would do."""
    if not request.is_ordinary:
        from primaps.engine.dry_run import planned_predict as planned_by_workers

        fitted = (segmenter.backbone, segmenter.model, segmenter.config)
        typer.echo("\n".join(planned_by_workers(request, *fitted, given, extras, _BEGAN)))
        return
    from primaps.pipeline.dry_run_of_predict import planned_predict
    from primaps.pipeline.opening import find_images
    from primaps.pipeline.predicting import refuse_run
    from primaps.pipeline.settings import settings_for

    out, progress = Path(request.out), request.progress
    refuse_run(out, segmenter.model)
    settings = settings_for(out, segmenter.config, given, progress)
    run = find_images(request.inputs, out, segmenter.backbone, settings, progress=progress)
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
