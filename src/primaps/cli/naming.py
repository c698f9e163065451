"""Commands about what classes are called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from primaps.cli.terminal import make_console, reported_errors
from primaps.errors import ConfigError

NamedRun = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Folder of a run, of `primaps predict`, or of a model."),
]
Names = Annotated[
    list[str] | None,
    typer.Option(
        "--name", metavar="CLASS=NAME", help="Name a class; CLASS= takes the name away. Repeatable."
    ),
]
Merges = Annotated[
    list[str] | None,
    typer.Option(
        "--merge",
        metavar="CLASS,CLASS=NAME",
        help="Make one class of several, as in 4,7=building. Repeatable.",
    ),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="CLASS", help="Have a class count as unlabelled. Repeatable."),
]
Used = Annotated[
    list[str] | None,
    typer.Option("--unignore", metavar="CLASS", help="No longer ignore a class. Repeatable."),
]
Colours = Annotated[
    list[str] | None,
    typer.Option("--colour", metavar="CLASS=#RRGGBB", help="Colour of a class. Repeatable."),
]
DatasetNames = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="DATASET", help="Add names and colours of a known data set, as camvid."
    ),
]
Cut = Annotated[
    int | None,
    typer.Option(
        "--cut",
        metavar="K",
        help="Make K classes by the tree of the clusters, fewer or again more, without a fit.",
    ),
]
Reset = Annotated[
    bool,
    typer.Option("--reset", help="Start from classes without names; classes-history keeps them."),
]


def classes(
    run_folder: NamedRun,
    name: Names = None,
    merge: Merges = None,
    ignore: Ignored = None,
    unignore: Used = None,
    colour: Colours = None,
    dataset: DatasetNames = None,
    cut: Cut = None,
    reset: Reset = False,
) -> None:
    """Show the classes of a run, or name, merge, ignore and colour them. A class is given by its id
    or its name; what is given together is done in this order: reset, cut, from, merge, name,
    ignore, colour.
    """
    console = make_console()
    with reported_errors(console):
        from primaps.pipeline.class_overview import class_report
        from primaps.pipeline.classes import ClassChanges

        changes = ClassChanges(
            reset=reset,
            cut=cut,
            dataset=dataset,
            merges=[(keys.split(","), to) for keys, to in _pairs(merge, "--merge 4,7=building")],
            names=[(key, to or None) for key, to in _pairs(name, "--name 3=road")],
            ignored=_listed(ignore),
            used=_listed(unignore),
            colours=_pairs(colour, "--colour road=#804080"),
        )
        typer.echo(class_report(run_folder, changes))


def _pairs(given: list[str] | None, example: str) -> list[tuple[str, str]]:
    """Both sides of the first ``=``, without blanks around them."""
    pairs = []
    for text in given or []:
        left, sign, right = text.partition("=")
        if not sign or not left.strip():
            raise ConfigError(f"Expected something like {example}, but got {text!r}.")
        pairs.append((left.strip(), right.strip()))
    return pairs


def _listed(given: list[str] | None) -> list[str]:
    return [key.strip() for text in given or [] for key in text.split(",")]
