"""The ``primaps`` command: all its commands, in the order in which the help lists them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from primaps.cli.correcting import corrections
from primaps.cli.exit_codes import MEANINGS
from primaps.cli.exporting import export
from primaps.cli.first_steps import demo, doctor, list_names
from primaps.cli.head_commands import head_app
from primaps.cli.help_pages import HelpGroup, with_examples
from primaps.cli.home_folder import at_home
from primaps.cli.measuring import benchmark, check, evaluate
from primaps.cli.naming import classes
from primaps.cli.naming_commands import accept, suggest
from primaps.cli.stages import fit, predict, proposals, report, segment
from primaps.cli.studio import studio
from primaps.version import __version__


class _Commands(HelpGroup):
    """All commands; ``~`` is replaced where no shell did."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Sort the arguments."""
        return super().parse_args(ctx, at_home(args))


app = typer.Typer(
    name="primaps",
    no_args_is_help=True,
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help=(
        "Unsupervised semantic segmentation of any folder of photographs.\n\nExit codes: "
        + "; ".join(f"{code} {meaning}" for code, meaning in MEANINGS.items())
        + "."
    ),
)
_COMMANDS: Final[tuple[Callable[..., None], ...]] = (
    *(segment, proposals, fit, predict),
    *(classes, suggest, corrections, accept),
    *(studio, report, export, evaluate, check, demo, benchmark),
)
for command in _COMMANDS:
    app.command(**with_examples(command.__name__))(command)
app.command("list", **with_examples("list"))(list_names)
app.command(**with_examples("doctor"))(doctor)
app.add_typer(head_app, name="head")


def main() -> None:
    """Entry point of the ``primaps`` command."""
    # Waiting threads must not spin: beside any other process, two spinning threads are three times
    # slower than one.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Whoever wants the hub to be told of versions says so.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    app()


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit
