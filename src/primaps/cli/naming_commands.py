"""Commands about what a person says of proposals: ``primaps suggest``, ``primaps accept`` and
``primaps fit RUN --with names``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from primaps.cli.options import Device, MovedHead, RunArgument, Weights
from primaps.cli.terminal import TerminalProgress, make_console, reported_errors
from primaps.errors import ConfigError

With = Annotated[
    str | None,
    typer.Option(
        "--with",
        help="names: a candidate model of the names given so far, see `primaps accept`.",
    ),
]


def suggest(
    run_folder: RunArgument,
    groups: Annotated[
        int | None,
        typer.Option("--groups", help="Groups of proposals, one of each is asked for."),
    ] = None,
    uncertain: Annotated[
        int | None,
        typer.Option(
            "--uncertain", help="Further proposals that the names so far say least about."
        ),
    ] = None,
    read: Annotated[
        bool, typer.Option("--read", help="Read the filled table: classes and corrections.")
    ] = False,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a table whose names were not read yet.")
    ] = False,
) -> None:
    """Choose the proposals whose names say most, and write their pictures and a table to fill in,
    RUN/suggestions.csv; with --read take the names from it.
    """
    console = make_console()
    with reported_errors(console):
        if read:
            if groups is not None or uncertain is not None or overwrite:
                raise ConfigError("Expected --read alone, because it writes no other table.")
            _read(run_folder)
            return
        from primaps import pipeline
        from primaps.pipeline.suggesting import GROUPS, suggest

        run = pipeline.reopen(
            run_folder,
            {},
            weights=weights,
            head=head,
            device=device,
            progress=TerminalProgress(console),
        )
        rows = suggest(
            run,
            groups=GROUPS if groups is None else groups,
            uncertain=uncertain or 0,
            overwrite=overwrite,
        )
        named = sum(bool(row.name) for row in rows)
        typer.echo(f"Cards: {run_folder / 'suggestions'}")
        typer.echo(f"Table: {run_folder / 'suggestions.csv'} ({len(rows)} rows, {named} named)")
        typer.echo(f"Fill in the column class, then: primaps suggest {run_folder} --read")


def _read(run_folder: Path) -> None:
    from primaps.pipeline.filled_suggestions import read_suggestions

    found = read_suggestions(run_folder)
    new = f" New classes: {', '.join(found.new_classes)}." if found.new_classes else ""
    typer.echo(
        f"{found.said} proposals named, {found.known} were before, {found.empty} are empty.{new}"
    )
    typer.echo(f"Next: primaps fit {run_folder} --with names")


def fit_with(
    run_folder: Path,
    what: str,
    given: Mapping[str, object],
    *,
    weights: Path | None,
    head: Path | None,
    device: str,
) -> None:
    """What ``primaps fit RUN --with names`` does.

    Args:
        run_folder: The run.
        what: After ``--with``.
        given: Other options by name, None or False where they were not given; none goes with it.
        weights: As for other commands.
        head: Likewise.
        device: Likewise.

    Raises:
        ConfigError: If it is another word than ``names``, or an option does not go with it.
    """
    if what != "names":
        raise ConfigError(f"Expected --with names, but got {what!r}.")
    others = [name for name, value in given.items() if value]
    if others:
        raise ConfigError(
            f"Expected --with names without --{', --'.join(others)}: classes are those with names,"
            " and nothing is random. Leave it out."
        )
    from primaps import pipeline
    from primaps.pipeline.candidates import CandidateFolder
    from primaps.pipeline.named_fit import fit_with_names

    run = pipeline.reopen(
        run_folder,
        {},
        weights=weights,
        head=head,
        device=device,
        progress=TerminalProgress(make_console()),
    )
    candidate = fit_with_names(run)
    folder = CandidateFolder(run_folder).of(candidate.number)
    typer.echo(
        f"Candidate {candidate.number}: {folder} ({len(candidate.classes)} classes,"
        f" {candidate.clicks} clicks)"
    )
    typer.echo(f"Report:      {folder / 'report.html'}")
    typer.echo(f"Accept it:   primaps accept {run_folder} {candidate.number}")


def accept(
    run_folder: RunArgument,
    number: Annotated[
        int | None, typer.Argument(metavar="[N]", help="Number of the candidate.")
    ] = None,
    back: Annotated[
        bool, typer.Option("--back", help="Take back the candidate that was accepted last.")
    ] = False,
    weights: Weights = None,
    head: MovedHead = None,
    device: Device = "auto",
) -> None:
    """Have a candidate of `primaps fit RUN --with names` take the place of the run's model, or take
    it back: label maps, names and report change with it.
    """
    console = make_console()
    with reported_errors(console):
        if back == (number is not None):
            raise ConfigError("Expected either the number of a candidate or --back.")
        from primaps import pipeline
        from primaps.pipeline.accepting import accept

        run = pipeline.reopen(
            run_folder,
            {},
            weights=weights,
            head=head,
            device=device,
            progress=TerminalProgress(console),
        )
        chosen = accept(run, number)
        typer.echo(f"Candidate {chosen} {'is taken back' if back else 'is accepted'}.")
        typer.echo(f"Report: {run_folder / 'report.html'}")
