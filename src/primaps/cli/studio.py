"""``primaps studio``: the viewer in the browser, with everything that edits."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Final

import typer

from primaps.cli.terminal import make_console, reported_errors
from primaps.errors import MissingExtraError

_PACKAGES: Final = ("starlette", "uvicorn", "anyio")

LabelMaps = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="Run folder, or --out of `primaps predict`."),
]
Host = Annotated[
    str,
    typer.Option("--host", help="Where to listen; another one than this machine needs care."),
]
Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="(default: 8765, or another one if it is taken)"),
]
NoBrowser = Annotated[bool, typer.Option("--no-browser", help="Open no browser.")]


def studio(
    run: LabelMaps, host: Host = "127.0.0.1", port: Port = None, no_browser: NoBrowser = False
) -> None:
    """Look at a run in the browser, name and correct its classes, refit, export. Prints an address
    that only this call knows; Ctrl+C ends it.
    """
    console = make_console()
    with reported_errors(console):
        _check_packages()
        from primaps.studio.serving import Told, serve

        told = Told(result=typer.echo, warning=lambda line: typer.echo(line, err=True))
        serve(run, host=host, port=port, browser=not no_browser, told=told)


def _check_packages() -> None:
    """Say what is missing before anything else is loaded.

    Raises:
        MissingExtraError: If the extra is not installed.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"Expected {', '.join(missing)}, which the studio serves pages with, but"
            f" {'it is' if len(missing) == 1 else 'they are'} not installed. Install with: pip"
            " install 'primaps[studio]'"
        )
